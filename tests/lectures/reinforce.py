"""REINFORCE with torch.distributions: a policy for a walk on a line, discounted and standardised returns, a baseline."""

from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical, Normal

torch.manual_seed(543)


class Walk:
    """Walk from 3 to 7 on a line of 8 places; every step costs 0.1."""

    def reset(self):
        self.at, self.steps = 3, 0
        return np.eye(8, dtype=np.float32)[self.at]

    def step(self, action):
        self.at, self.steps = max(0, self.at + (1 if action == 1 else -1)), self.steps + 1
        won = self.at == 7
        return np.eye(8, dtype=np.float32)[self.at], 1.0 if won else -0.1, won or self.steps >= 20


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(8, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)
        self.saved_log_probs, self.values, self.rewards = [], [], []

    def forward(self, x):
        x = torch.tanh(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


policy = Policy()
optimizer = optim.Adam(policy.parameters(), lr=3e-2)
eps = np.finfo(np.float32).eps.item()


def select_action(state):
    state = torch.from_numpy(state).float().unsqueeze(0)
    probs, value = policy(state)
    m = Categorical(probs)
    action = m.sample()
    policy.saved_log_probs.append(m.log_prob(action))
    policy.values.append(value.squeeze())
    return action.item()


def finish_episode():
    R, returns = 0, deque()
    for r in policy.rewards[::-1]:
        R = r + 0.95 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    policy_loss, value_loss = [], []
    for log_prob, value, R in zip(policy.saved_log_probs, policy.values, returns, strict=True):
        policy_loss.append(-log_prob * (R - value.item()))
        value_loss.append(F.smooth_l1_loss(value, R))
    optimizer.zero_grad()
    loss = torch.cat(policy_loss).sum() + torch.stack(value_loss).sum()
    loss.backward()
    optimizer.step()
    del policy.rewards[:], policy.saved_log_probs[:], policy.values[:]


env, lengths = Walk(), []
for _ in range(150):
    state, done = env.reset(), False
    while not done:
        state, reward, done = env.step(select_action(state))
        policy.rewards.append(reward)
    lengths.append(env.steps)
    finish_episode()
print(f"steps per episode: {np.mean(lengths[:20]):.1f} -> {np.mean(lengths[-20:]):.1f}")
assert np.mean(lengths[-20:]) < 6 < np.mean(lengths[:20])

# a continuous action: the score function and the reparametrised gradient agree
mu = torch.tensor(0.5, requires_grad=True)
m = Normal(mu, 1.0)
a = m.sample((200_000,))
(score,) = torch.autograd.grad((m.log_prob(a) * (a - 2) ** 2).mean(), mu)
(path,) = torch.autograd.grad(((m.rsample((200_000,)) - 2) ** 2).mean(), mu)
assert abs(score - path) < 0.1 and abs(path + 3.0) < 0.05
assert torch.allclose(m.entropy(), torch.tensor(1.4189), atol=1e-3)
