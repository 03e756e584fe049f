"""A regression homework: csv to Dataset, an MLP, early stopping on a validation split, curves in TensorBoard, a saved model."""

import csv
import math
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset, random_split
from torch.utils.tensorboard import SummaryWriter

folder = tempfile.mkdtemp()
config = {"seed": 5201314, "valid_ratio": 0.2, "n_epochs": 30, "batch_size": 64, "lr": 2e-2, "early_stop": 10,
          "save_path": os.path.join(folder, "model.ckpt")}  # fmt: skip


def same_seed(seed):
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    np.random.seed(seed)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


class TableDataset(Dataset):
    """x: features. y: targets; None for a prediction."""

    def __init__(self, x, y=None):
        self.y = y if y is None else torch.FloatTensor(y)
        self.x = torch.FloatTensor(x)

    def __getitem__(self, idx):
        return self.x[idx] if self.y is None else (self.x[idx], self.y[idx])

    def __len__(self):
        return len(self.x)


class Model(nn.Module):
    def __init__(self, input_dim):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_dim, 32), nn.LeakyReLU(0.1), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x):
        return self.layers(x).squeeze(1)  # (B, 1) -> (B)


def trainer(train_loader, valid_loader, model, config, device):
    criterion = nn.MSELoss(reduction="mean")
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9, weight_decay=1e-4)
    writer = SummaryWriter(log_dir=os.path.join(folder, "runs"))
    best_loss, step, early_stop_count, losses = math.inf, 0, 0, []
    for epoch in range(config["n_epochs"]):
        model.train()
        loss_record = []
        for x, y in train_loader:
            optimizer.zero_grad()
            x, y = x.to(device), y.to(device)
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            step += 1
            loss_record.append(loss.detach().item())
        writer.add_scalar("Loss/train", sum(loss_record) / len(loss_record), step)
        model.eval()
        loss_record = []
        for x, y in valid_loader:
            with torch.no_grad():
                loss_record.append(criterion(model(x.to(device)), y.to(device)).item())
        losses.append(sum(loss_record) / len(loss_record))
        print(f"Epoch [{epoch + 1}/{config['n_epochs']}]: Valid loss: {losses[-1]:.4f}")
        writer.add_scalar("Loss/valid", losses[-1], step)
        if losses[-1] < best_loss:
            best_loss, early_stop_count = losses[-1], 0
            torch.save(model.state_dict(), config["save_path"])
        else:
            early_stop_count += 1
        if early_stop_count >= config["early_stop"]:
            break
    writer.close()
    return losses


same_seed(config["seed"])
table = os.path.join(folder, "train.csv")
with open(table, "w", newline="") as file:
    rows = np.random.randn(400, 6)
    csv.writer(file).writerows(np.c_[rows, rows[:, 0] * 2 - np.maximum(rows[:, 1], 0) + 0.5 * rows[:, 2]])
with open(table, newline="") as file:
    values = np.array(list(csv.reader(file)))[:, :].astype(float)
size = int(config["valid_ratio"] * len(values))
train_set, valid_set = random_split(values, [len(values) - size, size], generator=torch.Generator().manual_seed(config["seed"]))
train, valid = np.array(train_set), np.array(valid_set)
loaders = [DataLoader(TableDataset(v[:, :-1], v[:, -1]), batch_size=config["batch_size"], shuffle=True, pin_memory=True)
           for v in (train, valid)]  # fmt: skip
device = "cuda" if torch.cuda.is_available() else "cpu"
model = Model(input_dim=6).to(device)
losses = trainer(*loaders, model, config, device)
assert min(losses) < 0.1 * losses[0], losses

again = Model(input_dim=6).to(device)
again.load_state_dict(torch.load(config["save_path"], map_location=device))
again.eval()
preds = []
for x in DataLoader(TableDataset(valid[:, :-1]), batch_size=16, shuffle=False):
    with torch.no_grad():
        preds.append(again(x.to(device)).detach().cpu())
preds = torch.cat(preds, dim=0).numpy()
assert preds.shape == (80,) and abs(((preds - valid[:, -1]) ** 2).mean() - min(losses)) < 0.05
assert len(os.listdir(os.path.join(folder, "runs"))) == 1
