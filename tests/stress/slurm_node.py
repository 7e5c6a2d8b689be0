"""A SLURM cluster of one node on loopback, for tests: its daemons are children of this process and end with it.

Everything it writes lies in one directory. It needs root and Debian's packages, which :func:`install` fetches.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = ("slurm-wlm", "slurmdbd", "slurm-wlm-mysql-plugin", "munge", "mariadb-server")
DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")


def missing() -> str | None:
    """Why there can be no such node here; None where there can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "starting SLURM needs root"
    if all(map(shutil.which, DAEMONS)) or shutil.which("apt-get"):
        return None
    return f"SLURM is not installed ({', '.join(name for name in DAEMONS if not shutil.which(name))}), nor is apt-get"


def install() -> None:
    """Install what is not there, by apt-get; the services that Debian would start are kept from starting."""
    if all(map(shutil.which, DAEMONS)):
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", *words], env=environment, stdout=subprocess.DEVNULL, check=True)


class Node:
    """The cluster, running while entered.

    Two partitions share the node: jobs in ``high`` preempt those in ``low``, which get the signal they asked for
    (submitit's USR2) and ``grace`` seconds.

    Args:
        home: an empty directory.
        cpus: cores that the node claims to have, so that this many jobs run at a time on any machine.
        gpus: GPUs that it claims to have: null devices, enough for SLURM to hand out CUDA_VISIBLE_DEVICES.
        grace: seconds between the notice of a preemption and the end of the job.
    """

    def __init__(self, home: Path, cpus: int = 4, gpus: int = 4, grace: int = 60):
        self.home, self.cpus, self.gpus, self.grace = home, cpus, gpus, grace
        self.environment = os.environ | {"SLURM_CONF": str(home / "slurm.conf")}
        self._daemons: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Node:
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what still runs, and end every daemon that was started here, the last one first."""
        if len(self._daemons) == len(DAEMONS):
            self.ask("scancel", "--user=root", "--full", "--signal=KILL", check=False)
            self.ask("scancel", "--user=root", check=False)
            self._wait(lambda: not self.ask("squeue", "--noheader", check=False).strip(), 20, fail=False)
        for _, daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def ask(self, *command: str, check: bool = True) -> str:
        """The output of a SLURM command."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def _configure(self) -> None:
        home, name = self.home, socket.gethostname().split(".")[0]
        for folder in ("state", "spool", "munge", "log"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "munge").chmod(0o700)
        key = home / "munge" / "key"
        key.write_bytes(secrets.token_bytes(256))
        key.chmod(0o600)
        self.ports = dict(zip(("controller", "node", "accounts", "database"), _free_ports(4), strict=True))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        for index in range(self.gpus):
            os.mknod(home / f"gpu{index}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (home / "gres.conf").write_text(f"Name=gpu File={home}/gpu[0-{self.gpus - 1}] Flags=nvidia_gpu_env\n")
        _settings(
            home / "slurm.conf",
            f"""
            ClusterName=stress
            SlurmctldHost={name}(127.0.0.1)
            SlurmctldPort={self.ports["controller"]}
            SlurmdPort={self.ports["node"]}
            SlurmUser=root
            SlurmdUser=root
            AuthType=auth/munge
            AuthInfo=socket={home}/munge/socket
            CredType=cred/munge
            StateSaveLocation={home}/state
            SlurmdSpoolDir={home}/spool
            SlurmctldPidFile={home}/slurmctld.pid
            SlurmdPidFile={home}/slurmd.pid
            MailProg=/bin/true
            MpiDefault=none
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            JobAcctGatherType=jobacct_gather/linux
            AccountingStorageType=accounting_storage/slurmdbd
            AccountingStorageHost=127.0.0.1
            AccountingStoragePort={self.ports["accounts"]}
            AccountingStoragePass={home}/munge/socket
            CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core
            SchedulerType=sched/builtin
            SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
            PreemptType=preempt/partition_prio
            PreemptMode=REQUEUE
            SlurmctldParameters=preempt_send_user_signal
            KillWait=5
            ReturnToService=2
            MaxArraySize=2001
            SlurmdParameters=config_overrides
            GresTypes=gpu
            NodeName={name} NodeAddr=127.0.0.1 CPUs={self.cpus} RealMemory={memory} Gres=gpu:{self.gpus}
            PartitionName=low Nodes={name} Default=YES PriorityTier=1 GraceTime={self.grace} State=UP
            PartitionName=high Nodes={name} PriorityTier=2 PreemptMode=OFF State=UP
            """,
        )
        _settings(
            home / "slurmdbd.conf",
            f"""
            AuthType=auth/munge
            AuthInfo=socket={home}/munge/socket
            DbdHost=localhost
            DbdAddr=127.0.0.1
            DbdPort={self.ports["accounts"]}
            SlurmUser=root
            PidFile={home}/slurmdbd.pid
            StorageType=accounting_storage/mysql
            StorageHost=127.0.0.1
            StoragePort={self.ports["database"]}
            StorageUser=slurm
            StoragePass=slurm
            StorageLoc=accounts
            """,
        )
        (home / "slurmdbd.conf").chmod(0o600)  # or slurmdbd refuses it

    def _start(self) -> None:
        home, database = self.home, self.home / "database"
        munge = ("--key-file", "munge/key", "--socket", "munge/socket", "--seed-file", "munge/seed")
        munge = tuple(f"{home}/{word}" if "/" in word else word for word in munge)
        self._daemon("munged", "--foreground", "--force", *munge, "--pid-file", f"{home}/munge/pid")
        self._wait((home / "munge" / "socket").exists, 20)
        common = ("--no-defaults", "--user=root", f"--datadir={database}")
        method = ("--auth-root-authentication-method=normal", "--skip-test-db")
        with (home / "log" / "mariadb-install").open("wb") as log:
            subprocess.run(["mariadb-install-db", *common, *method], stdout=log, stderr=log, check=True)
        where = (f"--socket={home}/database.socket", "--bind-address=127.0.0.1", f"--port={self.ports['database']}")
        small = ("--innodb-buffer-pool-size=32M", f"--pid-file={home}/mariadbd.pid", "--innodb-lock-wait-timeout=900")
        self._daemon("mariadbd", *common, *where, *small)
        grants = "; ".join(
            f"create user slurm@'{host}' identified by 'slurm'; grant all on accounts.* to slurm@'{host}'"
            for host in ("127.0.0.1", "localhost")
        )
        sql = ("mariadb", "--no-defaults", "--user=root", f"--socket={home}/database.socket", "--execute")
        self._wait(lambda: _works([*sql, "select 1"]), 60)
        subprocess.run([*sql, f"create database accounts; {grants}"], check=True)
        self._daemon("slurmdbd", "-D")
        self._wait(lambda: _works(["sacctmgr", "--immediate", "list", "cluster"], self.environment), 60)
        self.ask("sacctmgr", "--immediate", "add", "cluster", "stress")
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        self._wait(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%t", check=False).split(), 60)

    def _daemon(self, name: str, *arguments: str) -> None:
        log = (self.home / "log" / name).open("wb")
        # In a session of its own, so that Ctrl-C in a terminal leaves the order of ending to us.
        process = subprocess.Popen(
            [name, *arguments], stdout=log, stderr=log, env=self.environment, start_new_session=True
        )
        self._daemons.append((name, process))

    def _wait(self, ready: Callable[[], object], seconds: float, fail: bool = True) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            ended = [name for name, daemon in self._daemons if daemon.poll() is not None]
            if fail and (ended or time.monotonic() > deadline):
                name = (ended or [self._daemons[-1][0]])[0]
                log = (self.home / "log" / name).read_text(errors="replace")
                raise RuntimeError(f"{name} {'ended' if ended else 'is not ready'}:\n{log[-2000:]}")
            if time.monotonic() > deadline:
                return
            time.sleep(0.2)


def _settings(path: Path, text: str) -> None:
    path.write_text("".join(f"{line.strip()}\n" for line in text.strip().splitlines()))


def _works(command: Sequence[str], environment: dict[str, str] | None = None) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
