"""The product as an operator has it: a configuration file, a program, its exit codes, its output and its log."""

import json
import os
import pathlib
import re
import signal
import subprocess

from sbtest import need, process, things
from sbtest.wait import wait_until

BUILD = pathlib.Path(os.environ.get("SB_BUILD_DIR", "build/dev"))
STOP_MAX_S = 12  # a stage drains within 10 s
CAUGHT_UP = """
SELECT commit_lsn::text FROM switchback.progress p
WHERE migration = %s AND direction = %s AND lane = 0 AND commit_lsn >= %s::pg_lsn
  AND NOT EXISTS (SELECT FROM switchback.aside a WHERE a.migration = p.migration AND a.direction = p.direction)
  AND NOT EXISTS (SELECT FROM switchback.copy_wish w WHERE w.migration = p.migration AND w.direction = p.direction AND w.done_at IS NULL)
"""


def program():
    """SB_PROGRAM, or the one of this build."""
    given = os.environ.get("SB_PROGRAM")
    for path in [pathlib.Path(given)] if given else [BUILD / "cli/switchback", BUILD / "switchback"]:
        if path.exists():
            return path.resolve()
    need.missing(f"the switchback program is not built in {BUILD}")


class Done:
    """What a verb that has ended said."""

    def __init__(self, verb, code, out, err):
        self.verb, self.code, self.out, self.err = verb, code, out, err

    def __repr__(self):
        return f"`switchback {self.verb}` ended with {self.code}\n{self.out}{self.err}"

    def json(self):
        return json.loads(self.out)


def run_program(*words, timeout=60):
    """The program alone, without a migration: what it says, whatever that is."""
    done = subprocess.run(
        [program(), *map(str, words)], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )
    return Done(" ".join(map(str, words)), done.returncode, done.stdout, done.stderr)


class Stage(process.Process):
    """A running `switchback run`, `capture` or `apply`."""

    def __init__(self, product, words, fault):
        super().__init__(
            [program(), "-c", product.config_file, *words], product.log, env=product.environment(fault),
            cwd=product.folder, last_signal=signal.SIGKILL,
        )
        self.title = " ".join(words)

    def stop(self, timeout=STOP_MAX_S):
        """SIGTERM; its exit code. Not ended in time fails the test."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def resume(self):
        """SIGUSR1: a halted stage tries again."""
        self.signal(signal.SIGUSR1)


class Switchback:
    """One migration between two clusters. Made by the `switchback` fixture; what runs ends with the test."""

    def __init__(self, folder, old, new, db="postgres", user="postgres", migration="shop", config=None, broker=None):
        self.folder = pathlib.Path(folder) / f"switchback-{migration}"
        self.folder.mkdir(mode=0o700)
        self.old, self.new, self.db, self.migration, self.stages = old, new, db, migration, []
        self.config_file, self.log = self.folder / "switchback.yaml", self.folder / "switchback.log"
        self.log.touch()
        self.config = {
            "migration": migration,
            "state_dir": str(self.folder / "state"),
            "source": {"dsn": old.dsn(db, user=user)},
            "target": {"dsn": new.dsn(db, user=user)},
            "http": {"listen": ""},
            "log": {"level": "debug"},
            "copy": {"initial": False},  # tests of the copy turn it on
            # Tests of the way back turn it on; elsewhere what travels is the test's own transactions and nothing else.
            "reverse": {"enabled": False},
            "reconcile": {"enabled": False},
        }
        (self.folder / "state").mkdir(mode=0o700)
        if broker is not None:
            self.configure(stream={"store": "kafka"}, kafka={"bootstrap.servers": broker.address})
        self.configure(**(config or {}))
        things.add(self)

    def __repr__(self):
        return f"<switchback {self.migration} in {self.folder}>"

    # -- configuration

    def configure(self, **sections):
        """Merge into the configuration file: configure(apply={"mode": "exact"}). None removes an option."""
        for section, values in sections.items():
            if not isinstance(values, dict):
                self.config[section] = values
                continue
            merged = {**self.config.get(section, {}), **values}
            self.config[section] = {name: value for name, value in merged.items() if value is not None}
        # JSON is YAML.
        self.write_config(json.dumps(self.config, indent=2, ensure_ascii=False) + "\n")

    def write_config(self, text):
        """The file word for word, for what is wrong on purpose."""
        self.config_file.write_text(text)
        self.config_file.chmod(0o600)

    def environment(self, fault=None):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "SB_FAULT", "SWITCHBACK"))}
        # A sanitizer's report must not be taken for an answer of the program.
        env.setdefault("ASAN_OPTIONS", "exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        return {**env, "SB_FAULT": fault} if fault else env

    # -- verbs that end

    def verb(self, *words, fault=None, timeout=60, stdin=None):
        """Run `switchback WORDS` to its end, whatever it says."""
        done = subprocess.run(
            [program(), "-c", self.config_file, *map(str, words)], cwd=self.folder, env=self.environment(fault),
            capture_output=True, text=True, timeout=timeout, input=stdin, stdin=None if stdin else subprocess.DEVNULL,
        )
        return Done(" ".join(map(str, words)), done.returncode, done.stdout, done.stderr)

    def ok(self, *words, **more):
        """It must succeed; returns what it said."""
        done = self.verb(*words, **more)
        assert done.code == 0, done
        return done

    def refuses(self, ident, *words, code=None, **more):
        """It must fail with error ident (and exit code) and say so."""
        done = self.verb(*words, **more)
        assert done.code not in (0, None) and done.code > 0, done
        assert re.search(rf"\b{ident}\b", done.err + done.out), done
        assert code is None or done.code == code, done
        return done

    # -- stages

    def start(self, *words, fault=None):
        """Start a stage: start("run"), start("capture"), start("apply", fault="apply-before-commit:kill:3")."""
        stage = Stage(self, words, fault)
        self.stages.append(stage)
        return stage

    def run(self, fault=None):
        return self.start("run", fault=fault)

    def status(self):
        """`status --json`; its exit code says whether all is well, which is not asked here."""
        return self.verb("status", "--json", timeout=20).json()

    def _stage(self, name):
        absent = {"state": "absent", "pid": None, "why": "", "error": None}
        stage, _, direction = name.partition("-")
        for one in self.status()["directions"]:
            if one["direction"] == (direction or "forward"):
                return one["stages"].get(stage, absent)  # the copy is not there until it was started
        if direction == "reverse":
            return absent  # nor is the way back
        raise AssertionError(f"status knows no direction of {name}")

    def pid(self, name):
        """Of a stage under `run`: pid("capture-forward"); waits until it has one."""
        return wait_until(lambda: self._stage(name)["pid"], 15, f"{name} to run")

    def kill_stage(self, name):
        """SIGKILL one stage; its supervisor starts it again. Returns the pid that is gone."""
        pid = self.pid(name)
        process.send(pid, signal.SIGKILL)
        wait_until(lambda: not process.alive(pid), 10, f"{name} (pid {pid}) to end")
        return pid

    def kill_sequences(self):
        """SIGKILL the stage that keeps sequences ahead; its supervisor starts it again. Returns the pid that is gone."""
        pid = wait_until(lambda: self.status()["sequences"]["stage"]["pid"], 15, "the stage sequences to run")
        process.send(pid, signal.SIGKILL)
        wait_until(lambda: not process.alive(pid), 10, f"sequences (pid {pid}) to end")
        return pid

    def wait_state(self, name, state, timeout=20):
        """Until a stage reports this state ("running", "halted", "waiting" ...); returns its report."""

        def reached():
            report = self._stage(name)
            return report if report["state"] == state else None

        return wait_until(reached, timeout, f"{name} to be {state}", errors=(json.JSONDecodeError,))

    def wait_halted(self, name, ident, timeout=20):
        """Until a stage is halted by error ident."""
        report = self.wait_state(name, "halted", timeout)
        assert report["error"] == ident, report
        return report

    def stop(self):
        for stage in self.stages:
            if stage.running():
                stage.stop()
        self.stages.clear()

    # -- positions

    def wait_caught_up(self, timeout=60, direction="forward"):
        """Until everything committed on the source before this call is committed on the target, by the progress
        row's own word, and no table is set aside or to be copied again. A marker transaction gives the wait a commit that lies behind all of them."""
        source, target = (self.old, self.new) if direction == "forward" else (self.new, self.old)
        lsn = source.value("SELECT pg_current_wal_insert_lsn()::text", db=self.db)
        source.sql("SELECT pg_logical_emit_message(true, 'test.caught_up', '')", db=self.db)
        wait_until(
            lambda: target.sql(CAUGHT_UP, self.migration, direction, lsn, db=self.db), timeout,
            f"{self.migration} to apply what was committed up to {lsn}",
        )

    # -- evidence

    def log_contains(self, pattern):
        return re.search(pattern, self.log.read_text(errors="replace")) is not None

    def wait_log(self, pattern, timeout=20):
        wait_until(lambda: self.log_contains(pattern), timeout, f"the log to say {pattern}")

    def evidence(self):
        return process.tail(self.log, 60)

    def close(self):
        for stage in self.stages:
            stage.kill9()
        self.stages.clear()
        things.remove(self)
