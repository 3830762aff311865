import subprocess
import sys


def test_importing_strategies_loads_no_heavy_library():
    code = (
        "import sys, embedpipe.strategies\n"
        "print([m for m in ('faiss', 'torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
