"""qtloop beside its peers: `python -m benches`.

A *loop* (loops.py) is anything that can run asyncio code; a *workload* (workloads/) is one small
async function that is the same for all of them. Every measurement is a fresh process (measure.py);
the session (session.py) takes them in turns, so that a change of the machine's mood hits every
loop; the report (report.py) says what came out. Network load comes from a process of its own, the
Rust program in load/.
"""
