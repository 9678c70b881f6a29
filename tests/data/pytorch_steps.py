"""Writes pytorch_steps.json: steps of PyTorch's optimisers in float64, from states that are f32 numbers.

Each run takes 50 steps. Before each one the weights and the optimiser's states are rounded to f32, so that a step in
float64 from the same numbers must agree to the last digits. Learning rates are f32 numbers as well.

    pip install torch==2.15.0 && python tests/data/pytorch_steps.py > tests/data/pytorch_steps.json
"""

import json

import torch

SIZE, STEPS = 2, 50
NAMES = {"momentum_buffer": "m", "exp_avg": "m", "exp_avg_sq": "v"}

torch.manual_seed(20261129)
start = torch.randn(SIZE).double()
gradients = [(torch.randn(SIZE) * 10 ** torch.empty(1).uniform_(-2, 1)).double() for _ in range(STEPS)]


def adam(cls, rate, decay, **more):
    return lambda p: cls(p, lr=rate, weight_decay=decay, **more)


sgd = torch.optim.SGD
runs = [
    ("gradient", 0.0625, 0.0, lambda p: sgd(p, lr=0.0625)),
    ("heavy-ball(momentum=0.9)", 0.03125, 0.0, lambda p: sgd(p, lr=0.03125, momentum=0.9)),
    ("nesterov(momentum=0.9)", 0.03125, 0.0, lambda p: sgd(p, lr=0.03125, momentum=0.9, nesterov=True)),
    ("nesterov(momentum=0.5)", 0.25, 0.0, lambda p: sgd(p, lr=0.25, momentum=0.5, nesterov=True)),
    ("adam", 0.015625, 0.0, adam(torch.optim.Adam, 0.015625, 0.0)),
    ("adam(beta1=0.5,beta2=0.99,epsilon=0.001)", 0.25, 0.0,
     adam(torch.optim.Adam, 0.25, 0.0, betas=(0.5, 0.99), eps=0.001)),
    # L2 in the gradient, which is the caller's
    ("adam", 0.015625, 0.0625, adam(torch.optim.Adam, 0.015625, 0.0625)),
    ("adamw(decay=0.3)", 0.015625, 0.0, adam(torch.optim.AdamW, 0.015625, 0.3)),
]


def run(optimizer, rate, l2, make):
    weight = torch.nn.Parameter(start.clone())
    method = make([weight])
    rows = []
    for gradient in gradients:
        state = method.state[weight]
        with torch.no_grad():
            for number in [weight, *(state[name] for name in NAMES if name in state and state[name] is not None)]:
                number.copy_(number.float().double())

        def now():
            found = {"w": weight.detach().tolist(), "m": [0.0] * SIZE, "v": [0.0] * SIZE}
            found.update({short: state[name].tolist() for name, short in NAMES.items() if name in state})
            return found

        before = now()
        weight.grad = gradient.clone()
        method.step()
        rows.append({"before": before, "gradient": (gradient + l2 * torch.tensor(before["w"], dtype=torch.float64)).tolist(),
                     "after": now()})
    return {"optimizer": optimizer, "rate": rate, "steps": rows}


print(json.dumps({"torch": torch.__version__, "runs": [run(*one) for one in runs]}, separators=(",", ":")))
