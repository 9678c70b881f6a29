//! The ground that every other test on an adapter stands on: all three software adapters enumerate in one
//! process, open a device with the default limits, run a shader and read back its result.

mod support;

const DOUBLE: &str = "
@group(0) @binding(0) var<storage, read_write> values: array<u32>;

@compute @workgroup_size(64)
fn double(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&values) {
        values[id.x] *= 2u;
    }
}
";

#[test]
fn every_adapter_computes_and_reads_back() {
    for one in support::software_adapters() {
        let info = one.adapter.get_info();
        println!(
            "{}: {} [{}], driver {} {}",
            one.label, info.name, info.backend, info.driver, info.driver_info
        );
        double_and_read_back(&one);
    }
}

#[test]
fn adapters_serve_several_threads_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| support::software_adapters().iter().for_each(double_and_read_back));
        }
    });
}

fn double_and_read_back(one: &support::TestAdapter) {
    const LENGTH: u32 = 100;
    let (device, queue) = one.device();
    let size = u64::from(LENGTH) * 4;
    let buffer = |usage, mapped_at_creation| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation })
    };
    let values = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC, true);
    let counted: Vec<u32> = (0..LENGTH).collect();
    values
        .get_mapped_range_mut(..)
        .expect("mapped at creation")
        .copy_from_slice(bytemuck::cast_slice(&counted));
    values.unmap();
    let readback = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST, false);

    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(DOUBLE.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("double"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: values.as_entire_binding() }],
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(LENGTH.div_ceil(64), 1, 1);
    }
    encoder.copy_buffer_to_buffer(&values, 0, &readback, 0, size);
    let (send, receive) = std::sync::mpsc::channel();
    encoder.map_buffer_on_submit(&readback, wgpu::MapMode::Read, .., move |result| {
        send.send(result).expect("the test waits for it");
    });
    queue.submit([encoder.finish()]);
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
    receive.recv().expect("the callback ran").expect("the buffer maps");

    let doubled: Vec<u32> = counted.iter().map(|value| value * 2).collect();
    let bytes = readback.get_mapped_range(..).expect("mapped");
    assert_eq!(bytemuck::cast_slice::<u8, u32>(&bytes), doubled, "{}", one.label);
}

#[test]
fn an_adapter_that_is_missing_fails_and_says_how_to_get_one() {
    let panic = std::panic::catch_unwind(|| support::adapter("no such adapter"))
        .err()
        .expect("a missing adapter must not pass");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("'no such adapter' is missing"), "{message}");
    assert!(message.contains("bash tests/run.sh"), "{message}");
}
