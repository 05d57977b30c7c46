"""`switchback verify` on two servers, as tests of it want to have it."""

import json
import threading

EQUAL, DIFFERENT, INCOMPLETE = 0, 4, 8


def verify(product, *words, code=None, fault=None):
    """One pass; what it said as JSON. It must end as it should."""
    done = product.verb("verify", "--json", *words, timeout=240, fault=fault)
    assert done.code in (EQUAL, DIFFERENT, INCOMPLETE), done
    answer = done.json()
    odd = {table["table"]: table["differences"] or table["why"] for table in answer["tables"] if table.get("state", "equal") != "equal"}
    assert code is None or done.code == code, json.dumps(odd) + done.err
    return answer


def of_table(answer, name):
    (found,) = [table for table in answer["tables"] if table["table"] == name]
    return found


def running(switchback, old, new, **config):
    """A migration at work between two servers that hold the same rows."""
    apply = {"conflict": "owner", **config.pop("apply", {})}
    capture = {"heartbeat_interval_ms": 500, "feedback_interval_ms": 100}
    product = switchback(old, new, config={"apply": apply, "capture": capture, **config})
    product.ok("prepare")
    product.run()
    for stage in ("capture-forward", "apply-forward"):
        product.wait_state(stage, "running", 60)
    return product


def in_background(work):
    """A thread that ends with the test, and the list of what it returned."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    return thread, results


def waits_for_lock(server):
    return server.sql("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'switchback%verify' AND wait_event_type = 'Lock'")
