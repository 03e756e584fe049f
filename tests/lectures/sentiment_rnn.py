"""Sentiment of toy sentences: embedding, a bidirectional LSTM over packed sequences, a collate function that pads."""

import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

torch.manual_seed(0)
random.seed(0)
GOOD, BAD = "good great fine lovely".split(), "bad awful dull poor".split()
PLAIN = "the film was plot actor a very story".split()
itos = ["<pad>", "<unk>", *GOOD, *BAD, *PLAIN]
stoi = {word: i for i, word in enumerate(itos)}


def sentence():
    label = random.randint(0, 1)
    words = [random.choice(PLAIN) for _ in range(random.randint(2, 9))]
    words.insert(random.randrange(len(words) + 1), random.choice(GOOD if label else BAD))
    return torch.LongTensor([stoi.get(w, 1) for w in words]), label


def collate(batch):
    batch.sort(key=lambda pair: len(pair[0]), reverse=True)
    texts, labels = zip(*batch, strict=True)
    lengths = torch.tensor([len(t) for t in texts])
    return pad_sequence(texts, batch_first=True, padding_value=0), lengths, torch.FloatTensor(labels)


class RNN(nn.Module):
    def __init__(self, vocab_size, embedding_dim, hidden_dim, n_layers, dropout, pad_idx):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=pad_idx)
        self.rnn = nn.LSTM(embedding_dim, hidden_dim, num_layers=n_layers, bidirectional=True, dropout=dropout)
        self.fc = nn.Linear(hidden_dim * 2, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text, lengths):
        embedded = self.dropout(self.embedding(text.permute(1, 0)))  # (T, B, E)
        packed = pack_padded_sequence(embedded, lengths.to("cpu"))
        packed_output, (hidden, cell) = self.rnn(packed)
        output, output_lengths = pad_packed_sequence(packed_output)
        assert output.shape == (int(lengths.max()), text.size(0), 2 * self.rnn.hidden_size)
        assert output_lengths.tolist() == lengths.tolist()
        assert (output[lengths[-1] :, -1] == 0).all()  # behind the end of the shortest
        hidden = self.dropout(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1))
        return self.fc(hidden)


examples = [sentence() for _ in range(300)]
loader = DataLoader(examples, batch_size=30, shuffle=True, collate_fn=collate)
model = RNN(len(itos), 16, 16, 2, 0.1, pad_idx=0)
assert (model.embedding.weight.data[0] == 0).all()
print(f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} trainable parameters")
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
criterion = nn.BCEWithLogitsLoss()
history = []
for epoch in range(4):
    epoch_loss, epoch_acc = 0, 0
    model.train()
    for text, lengths, labels in loader:
        optimizer.zero_grad()
        predictions = model(text, lengths).squeeze(1)
        loss = criterion(predictions, labels)
        acc = (torch.round(torch.sigmoid(predictions)) == labels).float().mean()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
        epoch_acc += acc.item()
    history.append((epoch_loss / len(loader), epoch_acc / len(loader)))
    print(f"epoch {epoch}: loss {history[-1][0]:.3f}, accuracy {history[-1][1]:.2%}")
assert history[-1][1] > 0.95 and history[-1][0] < 0.4 * history[0][0]
assert (model.embedding.weight.data[0] == 0).all(), "padding is not trained"
