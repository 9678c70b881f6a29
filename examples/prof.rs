//! throw-away
use maf_srl::gpu::*;
use maf_srl::kernels::*;
use maf_srl::kernels::{layer, learn, product, sampled, sums};
use maf_srl::matrix::Pattern;
use maf_srl::network::*;
use maf_srl::penalty::Activation;
use std::sync::Arc;
fn main() {
    let which = std::env::args().nth(1).unwrap();
    let m: u32 = std::env::args().nth(2).unwrap().parse().unwrap();
    let format: Format = std::env::args().nth(3).unwrap().parse().unwrap();
    let order = Order::Samples;
    let ctx = Context::new(Some(&which)).unwrap();
    let k = Kernels::new(&ctx.device);
    let n = 64u32;
    let pattern = Arc::new(Pattern::random(n, 0.4, 1).unwrap());
    let p = Parameters::identity(
        pattern.clone(),
        Activation { eta1: 1.0, eta2: 1.0, delta1: 0.1, delta2: 0.5 },
        1.5,
    )
    .unwrap();
    let packed = p.packed();
    let u = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let num = |v: &[f32]| {
        let b = buffer_with(&ctx.device, "n", bytemuck::cast_slice(v), u).unwrap();
        Learned::new("n", View::new("n", &b, 0, v.len() as u64).unwrap(), p.places(), 1).unwrap()
    };
    let learned = num(&packed);
    let gradient = num(&vec![0.1; packed.len()]);
    let mo = [num(&vec![0.0; packed.len()]), num(&vec![0.0; packed.len()])];
    let matrix = Matrix::new(&k, pattern.clone(), format, 1).unwrap();
    let refresh = product::Refresh::bind(&k, &matrix, &learned).unwrap();
    let space = Space::new(&ctx.device, 4, n, m).unwrap();
    let batch = |order| {
        let v: Vec<f32> = (0..n * m).map(|i| ((i * 37 % 101) as f32) / 101.0).collect();
        let b = buffer_with(&ctx.device, "b", bytemuck::cast_slice(&v), u).unwrap();
        Batch::new("b", View::new("b", &b, 0, v.len() as u64).unwrap(), n, m, order).unwrap()
    };
    let x = batch(order);
    let target = batch(order);
    let out = batch(order);
    let bar = batch(Order::Components);
    let loss = {
        let b = buffer_with(&ctx.device, "l", &[0; 16], u).unwrap();
        View::new("l", &b, 0, 1).unwrap()
    };
    let job = Job {
        matrix: matrix.clone(),
        learned: learned.clone(),
        layers: 4,
        x: x.clone(),
        term: Term::Near(x.clone()),
        output: out.clone(),
    };
    let f = Unfolded::bind(&k, &job, &space).unwrap();
    let l = sums::Loss::bind(&k, &out, &target, 1.0, &bar, &loss).unwrap();
    let b = Backward::bind(&k, &job, &space, &bar, &gradient, None).unwrap();
    let mut le = learn::Dispatches::bind(
        &k,
        &learn::Job {
            pattern: pattern.clone(),
            learned: learned.clone(),
            gradient: gradient.clone(),
            moments: Some(mo),
            method: learn::Method::default(),
            rates: learn::Rates::default(),
            decay: 0.0,
            floors: Floors::default(),
            bound: None,
        },
    )
    .unwrap();
    // one layer's parts
    let sb = buffer_with(&ctx.device, "s", &vec![0u8; (n * m * 4 * 3) as usize], u).unwrap();
    let part = |i: u64| {
        Batch::new(
            "s",
            View::new("s", &sb, i * (n * m * 4) as u64, (n * m) as u64).unwrap(),
            n,
            m,
            Order::Components,
        )
        .unwrap()
    };
    let (ub, wb, rb) = (part(0), part(1), part(2));
    let lb = layer::Dispatches::backward(
        &k,
        &layer::Backward {
            matrix: matrix.clone(),
            learned: learned.clone(),
            layer: 0,
            x: x.clone(),
            data: Data::Near(x.clone()),
            bar: bar.clone(),
            scale_by: None,
            u: ub.clone(),
            w: wb.clone(),
            r_bar: rb.clone(),
        },
    )
    .unwrap();
    let passed = sums::Passed {
        learned: learned.clone(),
        layer: 0,
        x: x.clone(),
        data: Data::Near(x.clone()),
        bar: bar.clone(),
        scale_by: None,
        u: ub,
        w: wb,
        r_bar: rb,
    };
    let into = sums::Into { gradient: gradient.clone(), layer: 0, add: false };
    let su = sums::Dispatches::bind(&k, &passed, &into).unwrap();
    let sa = sampled::Dispatches::bind(&k, &pattern, &passed, &into).unwrap();
    println!("sums {} sampled {}", su.count(), sa.count());
    let time = |name: &str, rec: &mut dyn FnMut(&mut wgpu::CommandEncoder)| {
        let mut best = f64::MAX;
        let mut tot = 0.0;
        for i in 0..12 {
            let t = std::time::Instant::now();
            ctx.submit("t", |e| {
                for _ in 0..5 {
                    rec(e);
                }
                Ok(())
            })
            .unwrap();
            ctx.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            let s = t.elapsed().as_secs_f64() * 1e6 / 5.0;
            if i > 1 {
                tot += s;
            }
            best = best.min(s);
        }
        println!("{name:12} best {best:9.1} us  mean {:9.1}", tot / 10.0);
    };
    macro_rules! pass {
        ($d:expr) => {
            &mut |e: &mut wgpu::CommandEncoder| {
                let mut p = e.begin_compute_pass(&Default::default());
                $d.record(&mut p);
            }
        };
    }
    time("forward4", pass!(f));
    time("loss", pass!(l));
    time("backward4", pass!(b));
    time("layer back", pass!(lb));
    time("sums", pass!(su));
    time("sampled", pass!(sa));
    time("refresh", pass!(refresh));
    let mut s = 0;
    time("learn", &mut |e| {
        s += 1;
        le.set(e, learn::Hyper { rate: 1e-3, step: s }).unwrap();
        let mut p = e.begin_compute_pass(&Default::default());
        le.record(&mut p);
    });
}
