// needs: spmm/epilogue/bent
// The same; where the learned numbers say so, what the result has as a zero stays zero.
fn finished(row: u32, first: u32, apart: u32, sum: Word) -> Word {
    let made = bent(row, sum);
    if theta[job.theta + 5u] == 0.0 {
        return made.value;
    }
    return select(made.value, Word(), zeros(row, first, apart) & !made.bad);
}
