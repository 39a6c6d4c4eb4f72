"""A mail server on loopback that keeps what it gets, as far as a sender with a password needs one."""

import base64
import contextlib
import email
import email.message
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Mailbox:
    """Mails in the order in which they came, and the passwords that their senders gave."""

    address: str = ""
    mails: list[email.message.EmailMessage] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)


@contextlib.contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mailbox that is filled by SMTP (RFC 5321) with AUTH PLAIN (RFC 4954)."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            for line in self.rfile:
                command, _, rest = line.decode().strip().partition(" ")
                match command.upper():
                    case "EHLO":
                        self.say("250-here\r\n250 AUTH PLAIN")
                    case "AUTH":
                        box.passwords.append(base64.b64decode(rest.split()[1]).decode().split("\0")[2])
                        self.say("235 welcome")
                    case "DATA":
                        self.say("354 go on")
                        text = b"".join(iter(self.rfile.readline, b".\r\n"))
                        box.mails.append(email.message_from_bytes(text, policy=email.policy.default))
                        self.say("250 kept")
                    case "QUIT":
                        self.say("221 bye")
                        return
                    case _:
                        self.say("250 well")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        box.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
