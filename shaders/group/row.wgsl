// needs: shared/held
// The values that change from step to step, shared by tensors with equal settings.
struct Row {
    base: Base,
    prox: Constants,
    group: GroupConstants,
    mode: Mode,
}

@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> status: array<atomic<u32>>;
