"""One run on two machines: two torchrun agents, each in a network of its own, joined by a virtual cable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
from reviews import review_rows
from scripts.support import ROOT, read_json, run_script, write_csv

PORT = 29500
FLAGS = [
    *("--train_file", "train.csv", "--validation_file", "dev.csv", "--do_train", "--do_eval", "--max_steps", "4"),
    *("--model_type", "textcnn", "--filter_num", "4", "--classifier_dropout", "0", "--embedding_dropout", "0"),
    *("--per_device_train_batch_size", "4", "--per_device_eval_batch_size", "4", "--use_cpu", "--save_strategy", "no"),
]


@dataclass
class Host:
    """Where an agent runs: its address, and what stands before its command and in its environment."""

    address: str
    prefix: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@contextmanager
def two_networks():
    """Make two network namespaces that are joined by a cable, as two machines at one switch."""
    number = os.getpid()
    names, cards = [f"hfx{number}{side}" for side in "ab"], [f"hfx{number}{side}" for side in "ab"]
    with ExitStack() as undo:
        for name in names:
            ip("netns", "add", name)
            undo.callback(ip, "netns", "del", name)
        ip("link", "add", cards[0], "netns", names[0], "type", "veth", "peer", "name", cards[1], "netns", names[1])
        hosts = []
        for i, (name, card) in enumerate(zip(names, cards, strict=True), 1):
            address = f"10.231.7.{i}"
            ip("-n", name, "addr", "add", f"{address}/24", "dev", card)
            ip("-n", name, "link", "set", card, "up")
            ip("-n", name, "link", "set", "lo", "up")
            hosts.append(Host(address, ["ip", "netns", "exec", name], {"GLOO_SOCKET_IFNAME": card}))
        yield hosts


def can_make_networks():
    """Whether there is ``ip``, and the right to use it."""
    if shutil.which("ip") is None:
        return False
    name = f"hfx{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    return made and subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False).returncode == 0


def start_agent(host, master, *, is_first, folder, port):
    """Start torchrun on a host, one process there; the first one is told that it is where the others meet."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"{master}:{port}", "--rdzv_id", "two-hosts"]
    command += [
        "--rdzv_conf",
        f"is_host={int(is_first)}",
        "--local_addr",
        host.address,
        str(ROOT / "run_classification.py"),
        *FLAGS,
        "--output_dir",
        "two",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [*host.prefix, *command],
        cwd=folder,
        env={**environment, "HF_DATASETS_CACHE": str(folder / "cache"), **host.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_on(hosts, folder, *, port):
    agents = [
        start_agent(host, hosts[0].address, is_first=host is hosts[0], folder=folder, port=port) for host in hosts
    ]
    try:
        ended = [agent.communicate(timeout=500)[1] for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    assert [agent.returncode for agent in agents] == [0, 0], "\n".join(said[-2000:] for said in ended)
    return read_json(folder / "two" / "all_results.json")


@pytest.mark.stress
@pytest.mark.promise("runs on two hosts")
@pytest.mark.skipif(not can_make_networks(), reason="network namespaces need root and the command ip")
def test_two_hosts_train_and_score_what_one_does(tmp_path):
    write_csv(tmp_path / "train.csv", review_rows(24))
    write_csv(tmp_path / "dev.csv", review_rows(11, offset=900))
    alone = run_script(*FLAGS, "--output_dir", "one", cwd=tmp_path, processes=2, timeout=500)
    assert alone.returncode == 0, alone.stderr[-2000:]
    with two_networks() as hosts:
        found = run_on(hosts, tmp_path, port=PORT)
    expected = read_json(tmp_path / "one" / "all_results.json")
    for name in ("train_loss", "eval_loss", "eval_accuracy", "eval_samples"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6), name
