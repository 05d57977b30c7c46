# What a release binary carries: checked on the binary itself by tests/unit/test_hardening.py.
target_compile_options(sb_build INTERFACE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection
    -ftrivial-auto-var-init=zero -fPIE)
target_link_options(sb_build INTERFACE -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
