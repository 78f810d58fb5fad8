"""What `bench.py` is made of: cells, contestants, clients, the echo, figures, the chart."""
