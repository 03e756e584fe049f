"""Sequence to sequence: a GRU encoder, additive attention, a decoder with teacher forcing; it learns to reverse digits."""

import random

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(3)
random.seed(3)
SOS, VOCAB, LENGTH, HIDDEN = 6, 7, 5, 32
device = torch.device("cpu")


class Encoder(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size // 2, batch_first=True, bidirectional=True)

    def forward(self, x):
        outputs, hidden = self.gru(self.embedding(x))
        return outputs, torch.cat([hidden[0], hidden[1]], dim=-1).unsqueeze(0)


class AdditiveAttention(nn.Module):
    def __init__(self, hidden_size):
        super().__init__()
        self.Wa = nn.Linear(hidden_size, hidden_size)
        self.Ua = nn.Linear(hidden_size, hidden_size)
        self.Va = nn.Linear(hidden_size, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))  # (B, S, 1)
        weights = F.softmax(scores.squeeze(2).unsqueeze(1), dim=-1)  # (B, 1, S)
        return torch.bmm(weights, keys), weights


class Decoder(nn.Module):
    def __init__(self, hidden_size, output_size):
        super().__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = AdditiveAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, encoder_outputs, hidden, target=None):
        batch = encoder_outputs.size(0)
        token = torch.empty(batch, 1, dtype=torch.long, device=device).fill_(SOS)
        outputs, attentions = [], []
        for i in range(LENGTH):
            context, weights = self.attention(hidden.permute(1, 0, 2), encoder_outputs)
            output, hidden = self.gru(torch.cat((self.embedding(token), context), dim=2), hidden)
            output = self.out(output)
            outputs.append(output)
            attentions.append(weights)
            if target is not None and random.random() < 0.8:
                token = target[:, i].unsqueeze(1)
            else:
                _, topi = output.topk(1)
                token = topi.squeeze(-1).detach()
        return F.log_softmax(torch.cat(outputs, dim=1), dim=-1), torch.cat(attentions, dim=1)


encoder, decoder = Encoder(VOCAB, HIDDEN).to(device), Decoder(HIDDEN, VOCAB).to(device)
encoder_optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
decoder_optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
criterion = nn.NLLLoss()
losses = []
for step in range(150):
    source = torch.randint(0, 6, (32, LENGTH))
    target = source.flip(1)
    encoder_optimizer.zero_grad()
    decoder_optimizer.zero_grad()
    encoder_outputs, hidden = encoder(source)
    log_p, _ = decoder(encoder_outputs, hidden, target)
    loss = criterion(log_p.view(-1, log_p.size(-1)), target.reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
    encoder_optimizer.step()
    decoder_optimizer.step()
    losses.append(loss.item())
    if step % 30 == 0:
        print(f"step {step}: loss {losses[-1]:.3f}")

encoder.eval(), decoder.eval()
with torch.no_grad():
    source = torch.randint(0, 6, (100, LENGTH))
    log_p, attention = decoder(*encoder(source))
    accuracy = (log_p.argmax(-1) == source.flip(1)).float().mean().item()
print(f"accuracy {accuracy:.3f}")
assert losses[-1] < 0.3 * losses[0] and accuracy > 0.85
assert attention.shape == (100, LENGTH, LENGTH) and torch.allclose(attention.sum(-1), torch.ones(100, LENGTH), atol=1e-5)
