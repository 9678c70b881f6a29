// needs: spmm/epilogue/bent
fn finished(row: u32, first: u32, apart: u32, sum: Word) -> Word {
    return bent(row, theta[job.q + row] * sum).value;
}
