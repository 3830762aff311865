"""Code that active-learning and continual-learning loops share: training, arrays, run folders."""
