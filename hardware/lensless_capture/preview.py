"""A look through the camera: a histogram in the terminal and a page on this machine alone."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

from lensless_capture.cameras.base import Frame
from lensless_capture.exposure import level, saturated

LOCAL, BARS = "127.0.0.1", " ▁▂▃▄▅▆▇█"
# Pixels of the page's picture along its longer side, at most.
SHOWN = 800

PAGE = b"""<!doctype html><meta charset="utf-8"><title>lensless-capture</title>
<style>body{background:#111;color:#ccc;font:16px monospace;margin:2em}img{max-width:100%}</style>
<pre id="text"></pre><img id="frame" alt="">
<script>
async function turn(){
  document.getElementById("text").textContent = await (await fetch("histogram")).text();
  document.getElementById("frame").src = "frame.png?" + Date.now();
  setTimeout(turn, 500);
}
turn();
</script>"""


def histogram(frame: Frame, *, columns: int = 64) -> str:
    """The counts from black to full scale as a line of bars, their heights logarithmic, and the level in words."""
    reported = frame.reported
    counts, _ = np.histogram(frame.pixels, bins=columns, range=(0, reported.full_scale + 1))
    heights = np.log1p(counts)
    marks = np.ceil(heights / max(heights.max(), 1e-9) * (len(BARS) - 1)).astype(int)
    bars = "".join(BARS[mark] for mark in marks)
    return (
        f"|{bars}| {level(frame):4.0%} of full scale, {saturated(frame):.2%} clipped, "
        f"{reported.exposure:g} s, gain {reported.gain:g}"
    )


def thumbnail(frame: Frame) -> bytes:
    """PNG of the frame averaged over 2 x 2 pixels (its mosaic), reduced, and brightened for the eye (gamma 2.2)."""
    height, width = (extent // 2 * 2 for extent in frame.pixels.shape)
    cells = frame.pixels[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    step = -(-max(cells.shape) // SHOWN)
    reported = frame.reported
    light = (cells[::step, ::step] - reported.black_level) / (reported.full_scale - reported.black_level)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class PreviewPage(ThreadingHTTPServer):
    """Context manager: a page at ``url`` that shows the frame last set; reached from this machine only.

    From elsewhere: `ssh -L 8000:127.0.0.1:8000 pi@raspberrypi`. Raises OSError where ``port`` is taken.
    """

    daemon_threads = True

    def __init__(self, port: int = 8000):
        super().__init__((LOCAL, port), _Handler)
        self.url = f"http://{LOCAL}:{self.server_address[1]}/"
        self.frame: Frame | None = None

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        frame, path = self.server.frame, self.path.partition("?")[0]
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (LOCAL, "localhost"):  # another site's name that points here
            self.send_error(403)
        elif path == "/":
            self._send("text/html", PAGE)
        elif frame is None or path not in ("/histogram", "/frame.png"):
            self.send_error(404)
        elif path == "/histogram":
            self._send("text/plain; charset=utf-8", histogram(frame).encode())
        else:
            self._send("image/png", thumbnail(frame))

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Requests are not worth a line each."""
