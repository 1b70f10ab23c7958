"""What a run has to say for itself when it is over."""

from dataclasses import dataclass, field
from pathlib import Path

from .meters import Meters


@dataclass
class Report:
    meters: Meters = field(default_factory=Meters)
    loop: str = ""
    versions: str = ""
    screenshot: Path | None = None
    failures: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        meters, seconds, late = self.meters, self.meters.elapsed(), self.meters.lateness.spread()
        trips, frames = meters.round_trips.total, meters.frames.total
        return [
            f"loop            {self.loop}",
            f"versions        {self.versions}",
            f"ran for         {seconds:.1f} s",
            f"round trips     {trips:,} ({trips / seconds:,.0f} a second)",
            f"TLS handshakes  {meters.handshakes.total:,}",
            f"lines read      {meters.lines.total:,}",
            f"frames painted  {frames:,} ({frames / seconds:.1f} a second)",
            f"frame lateness  p50 {late.p50:.2f} ms, p99 {late.p99:.2f} ms, max {late.max:.2f} ms",
            *([f"screenshot      {self.screenshot.absolute()}"] if self.screenshot else []),
            *(f"FAILED          {failure}" for failure in self.failures),
        ]

    def require_activity(self) -> None:
        """A number that is still zero is a failure: each of them starts by itself, at once."""
        for name in "round_trips", "handshakes", "lines", "frames":
            if not getattr(self.meters, name).total:
                self.failures.append(f"no {name.replace('_', ' ')}")
