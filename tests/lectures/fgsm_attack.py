"""FGSM: the gradient for the image, its sign, clamping; the accuracy falls as epsilon grows."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(42)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 8, 3, 1)
        self.dropout1 = nn.Dropout(0.1)
        self.fc1 = nn.Linear(8 * 4 * 4, 4)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = torch.flatten(x, 1)
        return F.log_softmax(self.fc1(x), dim=1)


def images(count):
    """Noise with one bright quarter."""
    target = torch.randint(4, (count,))
    x = torch.rand(count, 1, 12, 12) * 0.5
    for i, t in enumerate(target):
        row, col = divmod(int(t), 2)
        x[i, 0, 6 * row : 6 * row + 6, 6 * col : 6 * col + 6] += 0.3
    return x.clamp(0, 1), target


model = Net()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
for _ in range(40):
    data, target = images(32)
    optimizer.zero_grad()
    F.nll_loss(model(data), target).backward()
    optimizer.step()
model.eval()


def fgsm_attack(image, epsilon, data_grad):
    sign_data_grad = data_grad.sign()
    perturbed_image = image + epsilon * sign_data_grad
    return torch.clamp(perturbed_image, 0, 1)


def test(model, epsilon):
    correct, adv_examples = 0, []
    for data, target in zip(*images(60), strict=True):
        data, target = data.unsqueeze(0), target.unsqueeze(0)
        data.requires_grad = True
        output = model(data)
        init_pred = output.max(1, keepdim=True)[1]
        if init_pred.item() != target.item():
            continue
        loss = F.nll_loss(output, target)
        model.zero_grad()
        loss.backward()
        data_grad = data.grad.data
        perturbed_data = fgsm_attack(data, epsilon, data_grad)
        assert float((perturbed_data - data).abs().max()) <= epsilon + 1e-6
        final_pred = model(perturbed_data).max(1, keepdim=True)[1]
        if final_pred.item() == target.item():
            correct += 1
        elif len(adv_examples) < 5:
            adv_ex = perturbed_data.squeeze().detach().cpu().numpy()
            adv_examples.append((init_pred.item(), final_pred.item(), adv_ex))
    return correct / 60, adv_examples


accuracies = []
for epsilon in [0, 0.1, 0.3]:
    accuracy, examples = test(model, epsilon)
    accuracies.append(accuracy)
    print(f"Epsilon: {epsilon}\tTest Accuracy = {accuracy:.3f}")
assert accuracies[0] > 0.95 and accuracies[2] < 0.3 and accuracies[0] >= accuracies[1] >= accuracies[2]
assert isinstance(examples[0][2], np.ndarray) and examples[0][2].shape == (12, 12) and examples[0][0] != examples[0][1]
