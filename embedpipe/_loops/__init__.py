"""What loops that label and loops that learn a stream share: training, drawing, run folders."""
