"""pumice chat on a terminal: editing, history, Ctrl-C, progress."""
import os
import pty
import select
import sys
import time

from program import DEMO, PUMICE, Case, main


class Terminal:
    """The program on a pseudo terminal of its own."""

    def __init__(self, *args):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
            os.execv(PUMICE, [PUMICE, *args])

    def until(self, text, seconds=120):
        """What came up to and with the text."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))[0]
            try:
                more = os.read(self.fd, 4096) if ready else b""
            except OSError:                                # Linux's way to say that it ended
                more = b""
            if not more:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            self.seen += more
        at = self.seen.index(text) + len(text)
        part, self.seen = self.seen[:at], self.seen[at:]
        return part.decode("utf-8", "replace")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The exit status."""
        try:
            while os.read(self.fd, 4096):
                pass
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Chat(Case):
    def setUp(self):
        self.terminal = Terminal("chat", "-m", DEMO, "--temp", "0")
        self.began = self.terminal.until(b"> ")

    def answer(self, line):
        self.terminal.type(line + "\n")
        text = self.terminal.until(b"KV pages")
        self.terminal.until(b"> ")
        return text

    def test_a_talk(self):
        self.assertIn("weights", self.began)              # the progress bar
        self.assertIn("/help", self.began)
        self.answer("my name is Xda\x02\x02\x02\x04A")     # back three, delete one, insert
        self.assertIn("Ada", self.answer("what is my name?").split("\n", 1)[1])
        self.terminal.type("\x1b[A")                       # history
        self.terminal.until(b"what is my name?")
        self.terminal.type("\x03")                         # gives the line up
        self.terminal.until(b"Ctrl-C")
        self.terminal.until(b"> ")
        self.answer("caf\u00e9 \u00e9t\u00e9")
        self.terminal.type("/help\n")
        self.terminal.until(b"/load FILE")
        self.terminal.type("/nonsense\n")
        self.terminal.until(b"unknown command /nonsense")
        self.terminal.type("/quit\n")
        self.assertEqual(self.terminal.end(), 0)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        self.terminal.type("tell me a story about a fox\n")
        self.terminal.until(b"Once")
        self.terminal.type("\x03")
        self.terminal.until(b"(cancelled)")
        self.terminal.until(b"> ")
        self.answer("hello")
        self.terminal.type("\x04")                         # the end of the input
        self.assertEqual(self.terminal.end(), 0)


if __name__ == "__main__":
    if not hasattr(os, "waitstatus_to_exitcode"):
        print("skipped: python3 is older than 3.9")
        sys.exit(77)
    main()
