// Y = A X or Aᵀ X of dense matrices, row by row in memory, in tiles of 16 x 16: what one would write first.
override invocations: u32 = 256u;

// rows of Y, columns of Y, terms of a sum, from a row of A to the next, from a column of A to the next
@group(0) @binding(0) var<storage, read> sizes: array<u32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> tile_a: array<f32, 256>;
var<workgroup> tile_x: array<f32, 256>;

@compute @workgroup_size(invocations)
fn spmm(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let i = index / 16u;
    let c = index % 16u;
    let row = 16u * id.y + i;
    let column = 16u * id.x + c;
    let rows = sizes[0];
    let columns = sizes[1];
    let terms = sizes[2];
    var sum = 0.0;
    for (var first = 0u; first < terms; first += 16u) {
        tile_a[index] = 0.0;
        tile_x[index] = 0.0;
        if row < rows && first + c < terms {
            tile_a[index] = a[row * sizes[3] + (first + c) * sizes[4]];
        }
        if first + i < terms && column < columns {
            tile_x[index] = x[(first + i) * columns + column];
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k += 1u) {
            sum += tile_a[16u * i + k] * tile_x[16u * k + c];
        }
        workgroupBarrier();
    }
    if row < rows && column < columns {
        y[row * columns + column] = sum;
    }
}
