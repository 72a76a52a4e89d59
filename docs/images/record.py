#!/usr/bin/env python3
"""Runs a command in a terminal of its own and renders what it showed as an animated SVG.

    python3 docs/images/record.py docs/images/demo.svg -- ./drover demo

What the SVG shows is what the command wrote, at two frames a second: nothing is edited. It understands the few control sequences
that Drover writes: cursor up, erase below, colours. Python's standard library only.
"""

import fcntl
import html
import os
import pty
import re
import select
import struct
import sys
import termios
import time

COLUMNS, ROWS = 100, 40
TICK = 0.5  # seconds a frame
HOLD = 8  # seconds that the last frame stays
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "90": "#8b949e"}
TOKEN = re.compile(r"\x1b\[(\d*(?:;\d+)*)([A-Za-z])|\r|\n|[^\x1b\r\n]")


def record(command):
    """Yields (seconds since the start, text) as the command writes it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    start, pending = time.monotonic(), b""
    while True:
        select.select([terminal], [], [])
        try:
            pending += os.read(terminal, 65536)
        except OSError:  # the command has ended
            break
        text = pending.decode("utf-8", "ignore")
        pending = pending[len(text.encode()):]
        yield time.monotonic() - start, text
    _, status = os.waitpid(pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)}: exit code {code}")


class Screen:
    def __init__(self):
        self.lines, self.row, self.column, self.colour, self.rest = [[]], 0, 0, "", ""

    def write(self, text):
        text, self.rest = self.rest + text, ""
        if (cut := text.rfind("\x1b")) >= 0 and not TOKEN.match(text, cut):
            text, self.rest = text[:cut], text[cut:]
        for token in TOKEN.finditer(text):
            self.put(token)

    def put(self, token):
        match token.group(2):
            case "A":
                self.row = max(0, self.row - int(token.group(1) or 1))
            case "J":
                self.lines[self.row] = self.lines[self.row][: self.column]
                del self.lines[self.row + 1 :]
            case "m":
                self.colour = COLOURS.get(token.group(1), "")
            case None:
                self.print(token.group(0))

    def print(self, char):
        if char == "\r":
            self.column = 0
            return
        if char == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append([])
            return
        line = self.lines[self.row]
        line.extend([(" ", "")] * (self.column - len(line)))
        line[self.column : self.column + 1] = [(char, self.colour)]
        self.column += 1

    def frame(self):
        return tuple(tuple(line) for line in self.lines[-ROWS:])


def frames(command):
    """Returns the frames as [(from second, lines)], one a tick at most, and the end."""
    screen, shown, last, before = Screen(), [], 0.0, 0.0
    for at, text in record(command):
        # A picture that is being drawn comes in several writes, with no pause between them.
        if at - last >= TICK and at - before > 0.05:
            shown.append((last, screen.frame()))
            last = at
        screen.write(text)
        before = at
    return shown + [(last, screen.frame())], last + HOLD


def spans(line):
    text, out, colour = "", [], None
    for char, c in line + ((None, None),):
        if c != colour and text:
            out.append(f'<tspan fill="{colour}">{html.escape(text)}</tspan>' if colour else html.escape(text))
            text = ""
        colour, text = c, text + (char or "")
    return "".join(out)


def render(shown, end, title):
    height = max(len(lines) for _, lines in shown) * 18 + 52
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * 8 + 32} {height}" role="img" aria-label="{html.escape(title)}">',
        "<style>",
        "text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #e6edf3; white-space: pre }",
        f".f {{ visibility: hidden; animation: {end:.1f}s step-end infinite }}",
        # Where nothing moves, the last frame stands.
        ".f:last-of-type { visibility: visible }",
    ]
    for i, (at, _) in enumerate(shown):
        begin = 100 * at / end
        until = 100 * shown[i + 1][0] / end if i + 1 < len(shown) else 100
        steps = ["0% { visibility: hidden }"] if begin > 0 else []
        steps.append(f"{begin:.3f}% {{ visibility: visible }}")
        steps.append(f"{until:.3f}% {{ visibility: {'hidden' if until < 100 else 'visible'} }}")
        out.append(f"@keyframes k{i} {{ {' '.join(steps)} }}")
    out += ["</style>", f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>', f'<text x="16" y="26" style="fill:#8b949e">$ {html.escape(title)}</text>']
    for i, (_, lines) in enumerate(shown):
        out.append(f'<g class="f" style="animation-name:k{i}">')
        out += [f'<text x="16" y="{50 + 18 * row}" xml:space="preserve">{spans(line)}</text>' for row, line in enumerate(lines) if line]
        out.append("</g>")
    return "\n".join(out + ["</svg>", ""])


def main():
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit(__doc__)
    command = sys.argv[3:]
    shown, end = frames(command)
    title = " ".join([os.path.basename(command[0])] + command[1:])
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write(render(shown, end, title))


if __name__ == "__main__":
    main()
