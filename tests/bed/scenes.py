#!/usr/bin/env python3
"""Scenes played with asyncssh, a client of another vendor that shows what OpenSSH's hides.

    scenes.py SCENE direct|jump|syntax

Environment: AMPHORA (target name), ADDRESS, PORT (of the gateway), KEY, OCTAVIA (private keys), OPERATOR.
Prints what was seen; the tests compare it with the direct way.
"""
import asyncio, os, sys

import asyncssh

if os.environ.get("DEBUG"):
    import logging

    logging.basicConfig(level=logging.DEBUG)
    asyncssh.set_debug_level(int(os.environ["DEBUG"]))

E = os.environ


async def connect(stack, way, landing="cloud-user"):
    """A connection to the amphora; `stack` closes it."""
    options = {"known_hosts": None, "config": None, "agent_path": None}
    if way == "direct":
        return await stack.enter_async_context(
            asyncssh.connect(E["ADDRESS"], username="cloud-user", client_keys=[E["OCTAVIA"]], **options)
        )
    outer = {"port": int(E["PORT"]), "client_keys": [E["KEY"]], **options}
    if way == "syntax":
        return await stack.enter_async_context(asyncssh.connect("127.0.0.1", username=f"{landing}+{E['AMPHORA']}", **outer))
    gateway = await stack.enter_async_context(asyncssh.connect("127.0.0.1", username=E.get("OPERATOR", "alice"), **outer))
    # No key at all towards the amphora: the jump alone opens it.
    return await stack.enter_async_context(
        asyncssh.connect(E["AMPHORA"], username=landing, tunnel=gateway, client_keys=None, **options)
    )


def ending(process):
    signal = process.exit_signal
    return f"status {process.exit_status} signal {signal[0] if signal else None} core {signal[1] if signal else None}"


async def signals(connection):
    for name in ["TERM", "KILL", "HUP", "INT", "QUIT", "SEGV", "PIPE", "USR1", "ALRM", "ABRT"]:
        done = await connection.run(f"ulimit -c 0; echo before; kill -{name} $$; sleep 1; echo after", encoding=None)
        print(name, "itself:", done.stdout, done.stderr, ending(done))
    for name in ["TERM", "INT", "HUP", "USR1", "KILL"]:
        async with connection.create_process(f"trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep 0.1; done") as process:
            await process.stdout.readline()
            process.send_signal(name)
            done = await process.wait()
            print(name, "sent:", done.stdout, ending(done))


async def resizes(connection):
    """As many sizes as one can send; the sibling is asked in between."""
    sizes = [(0, 0), (65535, 65535), (1, 1), (80, 24), (0, 65535), (65535, 0), (132, 43)]
    async with connection.create_process("sleep 600", term_type="xterm", term_size=(80, 24)) as process:
        for n in range(int(E.get("COUNT", "50000"))):
            process.change_terminal_size(*sizes[n % len(sizes)])
            if n % 2000 == 0:
                answer = await connection.run("echo alive")
                assert answer.stdout == "alive\n", answer
        process.change_terminal_size(80, 24)
        answer = await connection.run("echo alive")
        print(answer.stdout.strip(), answer.exit_status)
        process.close()


async def idle(way):
    """COUNT idle shells on terminals, each on a connection of its own; `ready`, and held until stdin ends."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        gate = asyncio.Semaphore(8)

        async def one():
            async with gate:
                connection = await connect(stack, way)
                process = await stack.enter_async_context(connection.create_process(term_type="xterm", term_size=(80, 24)))
                await process.stdout.read(1)

        await asyncio.gather(*(one() for _ in range(int(E["COUNT"]))))
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)


async def main(scene, way):
    from contextlib import AsyncExitStack

    if scene == "idle":
        return await idle(way)
    async with AsyncExitStack() as stack:
        await globals()[scene](await connect(stack, way))


asyncio.run(main(*sys.argv[1:]))
