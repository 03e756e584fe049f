"""A Transformer encoder: sinusoidal positions, a causal mask and a padding mask; which symbol came twice?"""

import math

import torch
from torch import Tensor, nn
from torch.nn import TransformerEncoder, TransformerEncoderLayer

torch.manual_seed(0)
PAD, LENGTH = 0, 7


class PositionalEncoding(nn.Module):
    def __init__(self, d_model: int, dropout: float = 0.1, max_len: int = 64):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(max_len, 1, d_model)
        pe[:, 0, 0::2] = torch.sin(position * div_term)
        pe[:, 0, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pe[: x.size(0)]
        return self.dropout(x)


class Classifier(nn.Module):
    def __init__(self, ntoken, d_model, nhead, d_hid, nlayers, dropout=0.0):
        super().__init__()
        self.model_type = "Transformer"
        self.pos_encoder = PositionalEncoding(d_model, dropout)
        layer = TransformerEncoderLayer(d_model, nhead, dim_feedforward=d_hid, dropout=dropout)
        self.transformer_encoder = TransformerEncoder(layer, nlayers)
        self.embedding = nn.Embedding(ntoken, d_model)
        self.d_model = d_model
        self.linear = nn.Linear(d_model, ntoken)
        self.embedding.weight.data.uniform_(-0.1, 0.1)
        self.linear.bias.data.zero_()

    def forward(self, src: Tensor, mask: Tensor | None = None) -> Tensor:
        padding = src == PAD  # (T, B)
        x = self.pos_encoder(self.embedding(src) * math.sqrt(self.d_model))
        x = self.transformer_encoder(x, mask, src_key_padding_mask=padding.t())
        x = x.masked_fill(padding.unsqueeze(-1), 0.0).sum(0) / (~padding).sum(0).unsqueeze(-1)
        return self.linear(x)


def batch(count):
    """Distinct symbols 1..9, one of them twice, behind it padding."""
    rows, labels = [], []
    for _ in range(count):
        length = int(torch.randint(3, LENGTH + 1, (1,)))
        symbols = (torch.randperm(9) + 1)[: length - 1]
        again = symbols[torch.randint(0, length - 1, (1,)).item()]
        row = torch.cat([symbols, again.unsqueeze(0)])[torch.randperm(length)]
        rows.append(nn.functional.pad(row, (0, LENGTH - length), value=PAD))
        labels.append(again)
    return torch.stack(rows, dim=1), torch.stack(labels)


model = Classifier(10, 32, 4, 64, 2)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
criterion = nn.CrossEntropyLoss()
first = None
model.train()
for step in range(120):
    src, target = batch(48)
    loss = criterion(model(src), target)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    scheduler.step()
    first = first or loss.item()
    if step % 30 == 0:
        print(f"step {step}: lr {scheduler.get_last_lr()[0]:.4f}, loss {loss.item():.3f}, ppl {math.exp(loss):.2f}")
assert loss.item() < 0.6 * first

model.eval()
with torch.no_grad():
    src, target = batch(16)
    longer = torch.cat([src, torch.full((2, 16), PAD)])
    assert torch.allclose(model(src), model(longer), atol=1e-5), "padding changes nothing"
    mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
    assert mask.shape == (LENGTH, LENGTH) and mask[0, 1] == float("-inf") and mask[1, 0] == 0
    x = torch.randn(LENGTH, 2, 32)
    early = model.transformer_encoder(x, mask)
    x[-1] += 1.0
    late = model.transformer_encoder(x, mask)
    assert torch.allclose(early[:-1], late[:-1], atol=1e-5) and not torch.allclose(early[-1], late[-1], atol=1e-3)
