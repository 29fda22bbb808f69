#!/usr/bin/env python3
"""An amphora as an enemy: an sshd (paramiko) that breaks the protocol once somebody is in.

    fake_amphora.py PORT HOSTKEY MODE

MODE: `floods` sends without regard to windows; `hangs` takes the command and never answers; `lies` sends messages
for channels that do not exist; `screams` sends a banner of a mebibyte before authentication.
"""
import logging, socket, sys, threading, time

import paramiko
from paramiko.common import cMSG_CHANNEL_DATA
from paramiko.message import Message

logging.getLogger("paramiko").setLevel(logging.CRITICAL)
threading.excepthook = lambda *_: None
MODE = sys.argv[3]


class Amphora(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, number):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_pty_request(self, *_):
        return True

    def check_channel_shell_request(self, channel):
        threading.Thread(target=serve, args=(channel,), daemon=True).start()
        return True

    def check_channel_exec_request(self, channel, command):
        return self.check_channel_shell_request(channel)


def data(number, payload):
    m = Message()
    m.add_byte(cMSG_CHANNEL_DATA)
    m.add_int(number)
    m.add_string(payload)
    return m


def serve(channel):
    transport = channel.get_transport()
    time.sleep(0.1)
    if MODE == "floods":
        # 1 GiB, whatever window the other side gave.
        for _ in range(32768):
            transport._send_user_message(data(channel.remote_chanid, b"x" * 32768))
    elif MODE == "lies":
        for number in (channel.remote_chanid + 1, 4000000000):
            transport._send_user_message(data(number, b"not yours"))
        channel.send(b"said\n")
        channel.send_exit_status(0)
        channel.close()
    elif MODE == "hangs":
        time.sleep(3600)


def connection(sock, key):
    if MODE == "screams":
        sock.sendall(b"".join(b"scream %d\r\n" % n for n in range(100000)))
    transport = paramiko.Transport(sock)
    transport.add_server_key(key)
    transport.start_server(server=Amphora())


def main():
    key = paramiko.Ed25519Key.from_private_key_file(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=50)
    print("ready", flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=connection, args=(sock, key), daemon=True).start()


main()
