// needs: shared/poisoned
// dsrl: layers x <- xi(x - (x - c) / L) of each element alone.
//
// chosen: dsrl/forward, dsrl/backward or dsrl/fold.

// Where each array starts in its binding, and what else the stages need.
struct Job {
    theta: u32,
    x: u32,
    c: u32,
    grad_output: u32,
    output: u32,
    gradient: u32,
    elements: u32,
    layers: u32,
    // from a layer's numbers to the next one's; 0 where all share them
    apart: u32,
    // workgroups of the backward stage, and tiles for them
    groups: u32,
    tiles: u32,
    // whether the derivative by x is wanted, and whether the gradient is added to
    delivers: u32,
    adds: u32,
    // the first word of scratch that holds inputs of layers
    kept: u32,
    unused0: u32,
    unused1: u32,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;

// Numbers from layer to layer.
const HEAD = 8u;
