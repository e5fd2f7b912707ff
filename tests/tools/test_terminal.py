"""pumice chat on a terminal: editing, history, Ctrl-C, progress."""
import os
import pty
import select
import signal
import sys
import time

from program import DEMO, PUMICE, Case, main


class Terminal:
    """The program on a pseudo terminal of its own."""

    def __init__(self, *args):
        self.seen = b""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
            os.execv(PUMICE, [PUMICE, *args])

    def read(self, seconds):
        """What the program wrote; b"" when it has ended, or wrote nothing for so long."""
        try:
            return os.read(self.fd, 4096) if select.select([self.fd], [], [], seconds)[0] else b""
        except OSError:                                    # Linux's way to say that it ended
            return b""

    def until(self, text, seconds=120):
        """What came up to and with the text."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            more = self.read(max(0.0, end - time.monotonic()))
            if not more:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            self.seen += more
        at = self.seen.index(text) + len(text)
        part, self.seen = self.seen[:at], self.seen[at:]
        return part.decode("utf-8", "replace")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, seconds=60):
        """The exit status; a program that goes on is killed, which shows in it."""
        while self.status is None and self.read(seconds):
            pass
        if self.status is None:
            end = time.monotonic() + seconds
            while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                if time.monotonic() > end:
                    os.kill(self.pid, signal.SIGKILL)
                    break
                time.sleep(0.01)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.fd)
        return self.status


class Chat(Case):
    def start(self, *options):
        """The chat at its first prompt, and what it said before."""
        terminal = Terminal("chat", "-m", DEMO, "--temp", "0", *options)
        self.addCleanup(terminal.end, 0)
        return terminal, terminal.until(b"> ")

    def test_a_talk(self):
        terminal, began = self.start()

        def answer(line):
            terminal.type(line + "\n")
            text = terminal.until(b"KV pages")
            terminal.until(b"> ")
            return text

        self.assertIn("weights", began)                    # the progress bar
        self.assertIn("/help", began)
        answer("my name is Xda\x02\x02\x02\x04A")          # back three, delete one, insert
        self.assertIn("Ada", answer("what is my name?").split("\n", 1)[1])
        terminal.type("\x1b[A")                            # history
        terminal.until(b"what is my name?")
        terminal.type("\x03")                              # gives the line up
        terminal.until(b"Ctrl-C")
        terminal.until(b"> ")
        answer("caf\u00e9 \u00e9t\u00e9")
        terminal.type("/help\n")
        terminal.until(b"/load FILE")
        terminal.type("/nonsense\n")
        terminal.until(b"unknown command /nonsense")
        terminal.type("/quit\n")
        self.assertEqual(terminal.end(), 0)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        terminal, _ = self.start("--ignore-eos")           # so that the answer is still on its way
        terminal.type("tell me a story about a fox\n")
        terminal.until(b"Once")
        terminal.type("\x03")
        terminal.until(b"(cancelled)")
        terminal.until(b"> ")
        terminal.type("/stats\n")
        terminal.until(b"(cancelled)")
        terminal.until(b"> ")
        terminal.type("\x04")                              # the end of the input
        self.assertEqual(terminal.end(), 0)

    def test_ctrl_c_is_never_missed_while_a_line_is_edited(self):
        terminal, _ = self.start()
        for _ in range(20):
            terminal.type("x")
            terminal.until(b"x")
            terminal.type("\x03")
            terminal.until(b"Ctrl-C")
            terminal.until(b"> ")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)


if __name__ == "__main__":
    if not hasattr(os, "waitstatus_to_exitcode"):
        print("skipped: python3 is older than 3.9")
        sys.exit(77)
    main()
