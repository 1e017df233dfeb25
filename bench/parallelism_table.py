#!/usr/bin/env python3
"""The table of docs/parallelism.md: bytes and time of ViT-22B's communication on meshes of up to 1,024 chips.

Arithmetic on formulas, no measurement: python3 bench/parallelism_table.py
"""

WIDTH, DEPTH, TOKENS, PARAMETERS = 6144, 48, 256, 21.75e9  # blocks; arXiv 2302.05442
FLOPS_PER_IMAGE = 33.63e12  # training, forward and backward
BATCH = 65_536  # images a step, over all chips
ACTIVATION, SUM, WEIGHT = 2, 4, 4  # bytes: bfloat16 activations, float32 partial sums, gradients and weights

# name, bytes a second and direction of a ring, sustained FLOP/s of the chip beside it
LINKS = [
    ("NVLink 450 GB/s, H100", 450e9, 0.65 * 989.4e12),
    ("400 Gb/s, H100", 50e9, 0.65 * 989.4e12),
    ("2 x 50 GB/s, TPUv4-like", 100e9, 0.55 * 275e12),
]


def model_axis_bytes(images, k):
    """A rank's bytes a step: one gathering and one scattering a block, forward and backward."""
    a_token = (k - 1) / k * WIDTH * (2 * ACTIVATION + 2 * SUM)
    return DEPTH * TOKENS * images * a_token


def data_axis_bytes(t, k):
    """Weights gathered in both passes, gradients scattered once."""
    return (t - 1) / t * PARAMETERS / k * 3 * WEIGHT


def row(t, k, rate, flops):
    images = BATCH / t  # of a model group
    compute = images * FLOPS_PER_IMAGE / k / flops
    model, data = model_axis_bytes(images, k), data_axis_bytes(t, k)
    # A ring's transfer hides behind one of k partial products; a gathering behind the block before it.
    ring = model / rate
    hidden_ring = min(ring, compute * (k - 1) / k)
    sharded = data / rate
    hidden_sharded = min(sharded * (DEPTH - 1) / DEPTH, compute)
    without = (ring + sharded) / (compute + ring + sharded)
    left = max(0.0, ring - hidden_ring) + max(0.0, sharded - hidden_sharded)
    return model, data, ring + sharded, without, left / (compute + left)


def main():
    for name, rate, flops in LINKS:
        print(f"\n{name}\n")
        print("| chips | t x k | model axis | data axis | transfers | exposed, blocking | exposed, overlapped |")
        print("|---|---|---|---|---|---|---|")
        for chips in (64, 256, 1024):
            for k in (1, 2, 4, 8, 16):
                t = chips // k
                model, data, seconds, without, left = row(t, k, rate, flops)
                print(f"| {chips:,} | {t} x {k} | {model / 1e9:,.0f} GB | {data / 1e9:,.0f} GB | {seconds:.2f} s | "
                      f"{100 * without:.0f} % | {100 * left:.1f} % |")


if __name__ == "__main__":
    main()
