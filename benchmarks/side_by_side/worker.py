"""One run inside hermes, with the Python and the home of an agent:

    python -P worker.py NAME '{"argument": …}'

Prints one line of JSON. `agent.py` starts it; nothing else of this checkout is needed here
but the provider that hermes loads.
"""

import importlib
import json
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

Run = dict[str, Any]
INTERVAL_MINUTES = 1440


def seed(count: int, due: Sequence[float] = ()) -> Run:
    """Fill the store with jobs, each a script without a model.

    due: when the first ones are due, in seconds since the epoch; the rest is due in a day.
    """
    jobs: Any = importlib.import_module("cron.jobs")
    options = {"name": "job", "script": "job.sh", "no_agent": True, "deliver": "local"}
    one = jobs.create_job(None, f"every {INTERVAL_MINUTES}m", **options)
    tomorrow = datetime.now(UTC) + timedelta(minutes=INTERVAL_MINUTES)
    times = [datetime.fromtimestamp(at, UTC) for at in due]
    times += [tomorrow + timedelta(seconds=n) for n in range(count - len(times))]
    ids = [f"{n:012x}" for n in range(1, count + 1)]
    changes = [
        {"id": id_, "name": f"job-{id_}", "next_run_at": at.isoformat()}
        for id_, at in zip(ids, times, strict=True)
    ]
    jobs.save_jobs([{**one, **change} for change in changes])
    return {"ids": ids}


def start() -> Run:
    """What a server of hermes does at its start: resolve the provider, and have it converge."""
    provider = _load_host()
    with _measured() as run:
        found = provider.resolve_cron_scheduler()
        found.start(threading.Event())
    return {**run, "provider": type(found).__module__}


def edit(job_id: str) -> Run:
    """What hermes does after a job was edited at the prompt, until it returns."""
    provider = _load_host()
    jobs: Any = importlib.import_module("cron.jobs")
    scheduler: Any = importlib.import_module("cron.scheduler")
    jobs.update_job(job_id, {"schedule": f"every {INTERVAL_MINUTES + 1}m"})
    with _measured() as run:
        scheduler._notify_provider_jobs_changed()
    return {**run, "provider": type(provider.resolve_cron_scheduler()).__module__}


def host_converge(url: str) -> Run:
    """The floor of any provider: hermes resolves it, reads login and jobs, and sends one request.

    The provider resolved is the bundled one, whose own work is not done.
    """
    provider = _load_host()
    auth: Any = importlib.import_module("hermes_cli.auth")
    jobs: Any = importlib.import_module("cron.jobs")
    with _measured() as run:
        found = provider.resolve_cron_scheduler()
        auth.resolve_nous_access_token()
        jobs.load_jobs()
        _round_trip(url)
    return {**run, "provider": type(found).__module__}


def host_fires(job_ids: Sequence[str], url: str) -> Run:
    """The floor of a fire: hermes claims the job, runs it and notes that; then one request.

    The first one, which loads what running takes, is left out.
    """
    provider = _load_host()
    host = provider.InProcessCronScheduler()
    requests = _round_trips(url)
    took = [_seconds(partial(host.fire_due, one)) + requests() for one in job_ids]
    bundled = type(provider.resolve_cron_scheduler()).__module__
    return {"seconds": statistics.median(took[1:]), "provider": bundled}


def _round_trip(url: str) -> None:
    """One request on a connection of its own, whatever is answered."""
    httpx: Any = importlib.import_module("httpx")
    with httpx.Client(trust_env=False) as client:
        client.get(url)


def _round_trips(url: str) -> Callable[[], float]:
    """Seconds of one request, on a connection that is kept."""
    httpx: Any = importlib.import_module("httpx")
    client = httpx.Client(trust_env=False)
    client.get(url)
    return lambda: _seconds(lambda: client.get(url))


def available(calls: int) -> Run:
    """How long `is_available()` takes once everything it needs is loaded."""
    found = _load_host().resolve_cron_scheduler()
    took = [_seconds(found.is_available) for _ in range(calls)]
    return {"seconds": statistics.median(took), "provider": type(found).__module__}


def burst(tokens: Sequence[str]) -> Run:
    """That many fires verified at once by a server that has no keys yet."""
    _load_host()
    importlib.import_module("hermes_cli.web_server")  # where the handler of fires is
    config = importlib.import_module("hermes_cli.config").load_config()["cron"]["chronos"]
    verify: Any = importlib.import_module("plugins.cron_providers.chronos.verify")
    verifier = verify.get_fire_verifier()
    ready = threading.Barrier(len(tokens))
    took: list[float] = []
    claims: list[object] = []

    def one(token: str) -> None:
        ready.wait()
        start = time.perf_counter()
        claims.append(
            verifier(
                token=token,
                expected_audience=config["expected_audience"],
                jwks_or_key=config["nas_jwks_url"],
                issuer=config["portal_url"],
            )
        )
        took.append(time.perf_counter() - start)

    threads = [threading.Thread(target=one, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if None in claims:
        raise RuntimeError(f"{claims.count(None)} of {len(tokens)} good tokens were refused")
    p99 = sorted(took)[min(len(took) - 1, int(len(took) * 0.99))]
    return {"p99_s": p99, "median_s": statistics.median(took), "provider": verifier.__module__}


def token(blocks: int, calls: int) -> Run:
    """CPU seconds of one verification: ours with warm keys, and PyJWT told what to check."""
    jwt: Any = importlib.import_module("jwt")
    webhooks = importlib.import_module("nas_sdk.webhooks")
    jwks = importlib.import_module("nas_sdk.webhooks.jwks")
    private, public = _new_keys()
    document = json.dumps({"keys": public})
    verifier = webhooks.FireVerifier(
        jwks.JwksCache(lambda: document), audience="agent:x", issuer="https://nas.example.com"
    )
    claims = {"iss": "https://nas.example.com", "aud": "agent:x", "purpose": "cron_fire"}
    checks = {"audience": "agent:x", "issuer": "https://nas.example.com", "leeway": 30}
    found: Run = {}
    for alg, key in private.items():
        now = int(time.time())
        signed = jwt.encode({**claims, "iat": now, "exp": now + 90}, key, alg, {"kid": alg})
        told = {
            "key": key.public_key(),
            "algorithms": [alg],
            "options": {"require": ["exp", "aud"]},
        }
        bare = partial(jwt.decode, signed, **told, **checks)
        ours = partial(verifier.verify_token, signed)
        costs = [(_cpu_seconds(bare, calls), _cpu_seconds(ours, calls)) for _ in range(blocks)]
        found[alg] = {
            "bare": statistics.median(cost for cost, _ in costs),
            "ours": statistics.median(cost for _, cost in costs),
        }
    return {**found, "provider": "chronos_plugin"}


def _new_keys() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    ec: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
    rsa: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    algorithms: Any = importlib.import_module("jwt.algorithms")
    private = {
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": rsa.generate_private_key(65537, 2048),
    }
    writers = {"ES256": algorithms.ECAlgorithm, "RS256": algorithms.RSAAlgorithm}
    public = [
        {**writers[alg].to_jwk(key.public_key(), as_dict=True), "kid": alg, "use": "sig"}
        for alg, key in private.items()
    ]
    return private, [{k: v for k, v in jwk.items() if k != "key_ops"} for jwk in public]


def _load_host() -> Any:
    """Import what a hermes command has imported by the time it calls the provider."""
    for name in ("hermes_cli.main", "tools.cronjob_tools", "cron.scheduler", "hermes_cli.auth"):
        importlib.import_module(name)
    return importlib.import_module("cron.scheduler_provider")


@contextmanager
def _measured() -> Iterator[Run]:
    run: Run = {}
    before = _peak_mb()
    cpu, start = time.process_time(), time.perf_counter()
    yield run
    run["seconds"] = time.perf_counter() - start
    run["cpu_s"] = time.process_time() - cpu
    run["rss_mb"] = _peak_mb()
    run["grown_mb"] = run["rss_mb"] - before


def _peak_mb() -> float:
    """The most memory this process ever had. Elsewhere than on Linux, that of its parent counts."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _cpu_seconds(call: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls


_ALL = (seed, start, edit, host_converge, host_fires, available, burst, token)
RUNS: dict[str, Callable[..., Run]] = {each.__name__: each for each in _ALL}

if __name__ == "__main__":
    answer = RUNS[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps(answer), flush=True)
    os._exit(0)  # what is left in threads of hermes is of no interest
