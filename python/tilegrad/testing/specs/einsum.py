"""einsum: sums of products over named dims."""

import tilegrad as tg
from tilegrad.reference import einsum
from tilegrad.testing.layouts import transposed, uniform
from tilegrad.testing.spec import OpError, OpSpec, op, sample

LONG = {"float32": (1e-5, 1e-5), "float64": (1e-12, 1e-12)}

EQUATIONS = {
    "ij,jk->ik": ((3, 4), (4, 5)),
    "ij,jk": ((3, 4), (4, 5)),
    "ij,kj->ki": ((3, 4), (5, 4)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "bhid,bhjd->bhij": ((2, 3, 4, 5), (2, 3, 6, 5)),
    "bhij,bhjd->bihd": ((2, 3, 4, 6), (2, 3, 6, 5)),
    "i,j->ij": ((3,), (4,)),
    "i,i": ((5,), (5,)),
    "i,i->i": ((5,), (5,)),
    "ii": ((4, 4),),
    "ii->i": ((4, 4),),
    "iij->j": ((3, 3, 2),),
    "ij->ji": ((3, 4),),
    "ba": ((3, 4),),
    "ijk->": ((2, 3, 4),),
    "ij->j": ((3, 4),),
    "...ij,...jk->...ik": ((2, 3, 4), (2, 4, 5)),
    "...i,...i->...": ((2, 1, 4), (3, 4)),
    "i...,i...->...": ((4, 2, 3), (4, 3)),
    "...ij->...ji": ((2, 3, 4),),
    "bn,anm,bm->ba": ((2, 3), (4, 3, 5), (2, 5)),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 5)),
    "abc,abd,c->d": ((2, 3, 4), (2, 3, 5), (4,)),
    "ij,jk->k": ((3, 4), (4, 5)),
    "ij,kl->": ((2, 3), (4, 2)),
    "ii,ij->j": ((3, 3), (3, 4)),
    "i,->i": ((3,), ()),
    "ij,jk->ijk": ((3, 4), (4, 2)),
}


def samples(rng):
    result = [sample(e, *(uniform(rng, s) for s in shapes)) for e, shapes in EQUATIONS.items()]
    return [
        *result,
        sample("ij,jk->ik", transposed(uniform(rng, (3, 4))), transposed(uniform(rng, (4, 5))), note="transposed"),
        sample("ij,jk->ik", uniform(rng, (3, 0)), uniform(rng, (0, 5)), note="empty"),
        sample("ij, jk -> ik", uniform(rng, (1, 4)), uniform(rng, (4, 1)), note="spaces"),
    ]


def call(equation, *shapes):
    return lambda: tg.einsum(equation, *(tg.ones(*s) for s in shapes))


SPECS = [
    OpSpec(
        "einsum",
        op("einsum"),
        einsum.einsum,
        samples,
        ("float32", "float64", "int64"),
        tolerances=LONG,
        differentiable=(1, 2, 3),
        errors=[
            OpError(call("ij,jk->ik", (2, 3)), RuntimeError, r"has 2 operands, but 1 were given"),
            OpError(
                call("ij->i", (2, 3, 4)), RuntimeError, r"number of subscripts .*\(2\) does not match .*\(3\) for operand 0"
            ),
            OpError(call("ij,jk->ik", (2, 3), (4, 5)), RuntimeError, r"subscript j has size 4 for operand 1 .*size 3"),
            OpError(call("ij->ik", (2, 3)), RuntimeError, r"output subscript k does not appear"),
            OpError(call("ij->ii", (2, 3)), RuntimeError, r"output subscript i appears more than once"),
            OpError(call("i1->i", (2, 3)), RuntimeError, r"invalid subscript '1'"),
        ],
    )
]
