"""What the tests are written with: real servers and brokers as classes, the product as a process, waiting for
conditions, and an independent comparison. Shares no code with the product."""
