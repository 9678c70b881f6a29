//! `maf-srl train`, run as a user runs it.

mod support;

use std::process::Output;

use serde_json::Value;
use support::{Place, document};

const TRAIN: &str = "train --device cpu --epochs 2 --repeats 1 --out-dir .";

fn run(place: &Place, arguments: &str) -> Output {
    place.run(&format!("{TRAIN} {arguments}"))
}

#[track_caller]
fn train(place: &Place, arguments: &str) -> Value {
    place.json(&format!("{TRAIN} --json {arguments}"))
}

#[test]
fn two_epochs_give_the_document_the_weights_and_the_charts() {
    let place = Place::new();
    let found = train(&place, "--method dense,tl1(a=0.5) --lambda 0.03");
    assert_eq!(found["dataset"], "digits");
    assert!(found["adapter"].as_str().unwrap().contains("cpu"));
    let methods = found["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 2);
    assert_eq!(methods[1]["method"], "tl1(a=0.5)");
    for method in methods {
        for field in [
            "accuracy_mean",
            "accuracy_std",
            "density_mean",
            "parameter_share",
            "flop_share",
            "weight_sparsity",
            "neuron_sparsity",
            "weight_sparsity_1e5",
            "neuron_sparsity_1e5",
        ] {
            assert!((0.0..=1.0).contains(&method[field].as_f64().unwrap()), "{field}");
        }
        assert!((0.0..=128.0).contains(&method["neurons_alive"].as_f64().unwrap()));
        assert!(method["accuracy_mean"].as_f64().unwrap() > 0.5);
    }
    assert_eq!(methods[0]["density_mean"], 1.0);
    assert!(methods[1]["density_mean"].as_f64().unwrap() < 1.0);
    // The CPU references have nothing to be compared with but themselves.
    assert_eq!(found["verification"]["checked"], 0);
    assert_eq!(found["verification"]["mismatches"], 0);

    let kept = place.document("digits/results.json");
    assert_eq!(kept["methods"][1]["accuracy_mean"], methods[1]["accuracy_mean"]);
    assert_eq!(kept["methods"][1]["runs"][0]["history"].as_array().unwrap().len(), 2);
    for chart in ["accuracy-density.svg", "epochs.svg"] {
        place.shows(&format!("digits/{chart}"), &[]);
    }
    // The density that is reported is that of the weights that are kept.
    let weights = weights(&place, "digits/tl1-a-0.5-seed0.safetensors");
    let nonzero = weights.iter().filter(|w| w.to_bits() != 0).count();
    assert_eq!(methods[1]["density_mean"].as_f64().unwrap(), nonzero as f64 / weights.len() as f64);
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_one_others() {
    let place = Place::new();
    let figures = |seed: &str| {
        let found = train(&place, &format!("--method l1 --seed {seed}"));
        let run = &found["methods"][0]["runs"][0];
        (run["accuracy"].clone(), run["density"].clone(), run["neurons_alive"].clone())
    };
    // The values; the order of the entries in the header is not fixed.
    let values = |seed: &str| {
        let weights = place.tensor(&format!("digits/l1-seed{seed}.safetensors"), "layers.0.weight");
        weights.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let first = figures("7");
    let first_weights = values("7");
    assert_eq!(figures("7"), first);
    assert_eq!(values("7"), first_weights);
    figures("8");
    assert_ne!(values("8"), first_weights);
}

#[test]
fn zeros_stay_after_the_epoch_that_is_named() {
    let place = Place::new();
    let train = |arguments: &str| {
        let found = place.json(&format!(
            "train --device cpu --epochs 6 --repeats 1 --out-dir . --json --method l1 --lambda 0.1 \
             --hidden 16 {arguments}"
        ));
        let kept = place.document("digits/results.json");
        let history = kept["methods"][0]["runs"][0]["history"].as_array().unwrap().clone();
        let density: Vec<_> = history.iter().map(|epoch| epoch["density"].as_f64().unwrap()).collect();
        let words: Vec<_> =
            weights(&place, "digits/l1-seed0.safetensors").into_iter().map(f32::to_bits).collect();
        (density, words, found["settings"]["freeze_after"].as_u64().unwrap())
    };
    let falls = |density: &[f64]| density.is_sorted_by(|a, b| a >= b);
    let (free, _, after) = train("--refit 0");
    assert!(!falls(&free[2..]) && after == 6, "{free:?} {after}");
    let (kept, _, after) = train("--refit 0 --freeze-after 3");
    assert!(falls(&kept[2..]) && kept[..3] == free[..3] && after == 3, "{kept:?} {after}");
    let (kept, _, _) = train("--refit 0 --freeze-after 0");
    assert!(falls(&kept) && kept[5] > 0.0, "{kept:?}");

    // a refit keeps zeros without being told, and from where it begins at the latest
    let refit = train("--refit 0.5");
    assert_eq!((refit.2, falls(&refit.0[2..])), (3, true), "{:?}", refit.0);
    assert_eq!(train("--refit 0.5 --freeze-after 3"), refit);
    let (earlier, ..) = train("--refit 0.5 --freeze-after 2");
    assert!(falls(&earlier[1..]) && earlier[2] < refit.0[2], "{earlier:?} {:?}", refit.0);
}

#[test]
fn a_density_that_is_asked_for_is_met() {
    let place = Place::new();
    let found = place.json(
        "train --device cpu --epochs 40 --repeats 2 --out-dir . --json --hidden 32 --method dense,l1,sgl --density 0.15 \
         --solver proximal",
    );
    assert_eq!(found["settings"]["density"], 0.15);
    let methods = found["methods"].as_array().unwrap();
    assert!(methods[0].get("density_met").is_none() && methods[0]["density_mean"] == 1.0);
    for method in &methods[1..] {
        assert_eq!(method["density_met"], 2, "{method}");
        for run in method["runs"].as_array().unwrap() {
            let density = run["density"].as_f64().unwrap();
            assert!((density - 0.15).abs() <= 0.15 / 50.0 + 1e-9, "{run}");
            assert_eq!(run["density_met"], true);
        }
    }
    let kept = place.document("digits/results.json");
    let history = kept["methods"][1]["runs"][0]["history"].as_array().unwrap();
    let scale = |epoch: usize| history[epoch - 1]["lambda_scale"].as_f64();
    // it follows, ends, and the refit has no penalty
    assert!(scale(5).unwrap() > 0.0 && scale(28) == Some(0.0) && scale(40).is_none(), "{history:?}");
}

#[test]
fn the_table_and_the_progress_go_their_ways() {
    let place = Place::new();
    let output = run(&place, "--method dense --hidden 16,8 --name small");
    assert!(output.status.success());
    let (table, progress) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        table.contains("accuracy %") && table.contains("64-16-8-10") && table.contains("24.0/24"),
        "{table}"
    );
    assert!(
        progress.contains("dense seed 0 epoch   2: loss") && progress.contains("live neurons 16+8"),
        "{progress}"
    );
    assert!(place.at("small/results.json").is_file());
}

#[test]
fn wrong_requests_are_refused_in_one_line_before_any_work() {
    let place = Place::new();
    for (arguments, needle) in [
        ("--method lasso", "there are dense, none, l1"),
        ("--method tl1+lasso", "explicit --lambda"),
        ("--method sgl --groups filters", "three axes"),
        ("--method sgl --groups cells", "blocks:K"),
        ("--method cges --solver splitting", "lasso"),
        ("--method l0 --solver subgradient", "subgradient of l0"),
        ("--method maf", "needs a --regulariser"),
        ("--regulariser not-there", "not-there"),
        ("--solver sgd", "there are proximal"),
        ("--solver splitting --beta 0", "beta"),
        ("--solver splitting --method sgl --sigma 0.5", "--sigma: factor of beta = 0.5"),
        ("--solver splitting --method sgl --beta-every 0", "--beta-every: epochs = 0"),
        ("--group-lambda -1", "--group-lambda"),
        ("--method dsrl --block 0", "--block: weights = 0 is outside [1, 1500]"),
        ("--method dsrl --block 48", "--block 48"),
        ("--method maf-srl --matrix-density 1.5", "--matrix-density: density = 1.5"),
        ("--density 1", "--density: share of the weights = 1"),
        ("--density 0.1 --warm-up 0.5", "--density: a density to be met"),
        ("--method sgl --solver subgradient --density 0.1", "--density: sgl by subgradients"),
        ("--method maf-srl --layers 0", "--layers: layers = 0"),
        ("--preset layers --layers 2,x", "--layers"),
        ("--lambda 0.1,x", "--lambda"),
        ("--method l1,l1", "twice"),
        ("--method tl1(a=-1)", "outside"),
        ("--lambda -1", "--lambda"),
        ("--lr nan", "--lr"),
        ("--hidden 8,x", "--hidden"),
        ("--hidden 0", "--hidden"),
        ("--batch 0", "--batch"),
        ("--noise -1", "--noise"),
        ("--optimizer rmsprop", "heavy-ball"),
        ("--optimizer prox", "reads no gradient"),
        ("--data iris", "digits, mnist"),
        ("--data mnist", "--data-dir"),
        ("--name ../up", "--name"),
        ("--freeze-after -1", "--freeze-after"),
        ("--freeze-after 3", "--freeze-after: epoch = 3 is outside [0, 2]"),
        ("--refit 0.5 --freeze-after 2", "--freeze-after: epoch 2, when the refit (--refit 0.5) has begun"),
        ("--refit 0.5 --freeze-after 2", "allowed: an epoch in [0, 1], or --refit 0"),
        (
            "--hidden 65536,65536,65536",
            "--hidden: a network of 64-65536-65536-65536-10 in batches of 64 would take about",
        ),
        (
            "--hidden 65536,65536,65536",
            "GiB of memory; allowed: 8 GiB: smaller --hidden, --batch, --block or --layers",
        ),
        ("--method maf-srl --block 256 --layers 4096 --hidden 256 --batch 1000000", "batches of 1259"),
    ] {
        place.refuses(&format!("{TRAIN} {arguments}"), &[needle]);
    }
    place.refuses(&TRAIN.replace("--device cpu", "--device none"), &["no adapter matches \"none\""]);
    assert_eq!(std::fs::read_dir(place.at(".")).unwrap().count(), 0);
}

#[test]
fn a_regulariser_out_of_a_file_is_a_method() {
    use maf_srl::regulariser::{Parameters, file};
    use maf_srl::{matrix::Pattern, penalty::Activation};
    let place = Place::new();
    let path = place.at("learned.safetensors");
    let activation = Activation { eta1: 0.5, eta2: 1.0, delta1: 0.5, delta2: 1.0 };
    let pattern = std::sync::Arc::new(Pattern::neighbourhood(8, 8, 1).unwrap());
    let first = Parameters::identity(pattern, activation, 1.0).unwrap();
    let mut last = first.clone();
    last.values.iter_mut().enumerate().for_each(|(k, a)| *a += 0.05 * (k as f64).sin());
    let norm = maf_srl::regulariser::Regulariser::new(last.clone()).unwrap().norm();
    // a first layer that would be refused
    std::fs::write(
        &path,
        file::to_bytes(&[Parameters { b: vec![0.5; 64], ..first.clone() }, last], 2).unwrap(),
    )
    .unwrap();
    let output = run(&place, "--method l1 --regulariser learned.safetensors --hidden 32,5 --json");
    let found = document(&output);
    let maf = &found["methods"][1];
    assert_eq!((&maf["method"], &maf["penalty"]), (&"maf".into(), &"maf(n=64)".into()));
    assert!((maf["lambda"].as_f64().unwrap() - 0.07 * norm).abs() < 1e-12 && norm > 1.0);
    // 32 x 64 by rows, 5 x 32 and 10 x 5 not at all
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("does not fit layers.1.weight, layers.2.weight"), "{said}");
    assert!(maf["accuracy_mean"].as_f64().unwrap() > 0.3, "{maf}");

    std::fs::write(&path, file::to_bytes(&[Parameters { b: vec![0.5; 64], ..first }], 1).unwrap()).unwrap();
    place.refuses(&format!("{TRAIN} --regulariser learned.safetensors"), &["b[0] = 0.5"]);
}

#[test]
fn regularisers_learned_from_dense_weights_are_methods() {
    let place = Place::new();
    let output = run(&place, "--method dense,dsrl,maf-srl --hidden 24 --layers 4 --json");
    let found = document(&output);
    // 24 x 64 is cut into blocks of 16, 10 x 24 is not
    let said = String::from_utf8_lossy(&output.stderr);
    for name in ["dsrl", "maf-srl"] {
        let notice = format!("does not fit layers.1.weight: {name} leaves it without a penalty");
        assert!(said.contains(&notice), "{said}");
    }
    // the dense network is trained once
    assert_eq!(said.matches("dense seed 0 epoch   2").count(), 1, "{said}");
    for (k, name, density) in [(1, "dsrl", 1.0 / 16.0), (2, "maf-srl", 26.0 / 256.0)] {
        let method = &found["methods"][k];
        assert_eq!((&method["method"], &method["layers"]), (&name.into(), &4.into()));
        assert_eq!(method["penalty"], format!("{name}(n=16,layers=4)"));
        assert!(method["accuracy_mean"].as_f64().unwrap() > 0.3, "{method}");
        assert!(method["density_mean"].as_f64().unwrap() < 1.0, "{method}");
        let learned = &method["runs"][0]["learned"];
        assert!((learned["density"].as_f64().unwrap() - density).abs() < 1e-12, "{learned}");
        let number = |field: &str| learned["activation"][field].as_f64().unwrap();
        assert_eq!(number("eta1").max(number("eta2")), 1.0);
        assert!(0.0 < number("delta1") && number("delta1") <= number("delta2"));
        assert!(learned["l"].as_f64().unwrap() >= 0.6);

        let path = place.at(&format!("digits/{name}.safetensors"));
        let (kept, layers) = maf_srl::regulariser::file::load(&path).unwrap();
        assert_eq!((kept.len(), layers), (1, 4));
        assert_eq!(kept[0].activation.delta1, number("delta1"));
        // what is kept can be trained with
        maf_srl::regulariser::Regulariser::new(kept[0].clone()).unwrap();
    }
    assert!(found["methods"][0]["runs"][0].get("learned").is_none());
}

#[test]
fn learned_regularisers_are_checked_on_every_adapter() {
    let place = Place::new();
    let devices: Value = serde_json::from_slice(&place.run("devices --json").stdout).unwrap_or_default();
    let count = devices["adapters"].as_array().map_or(0, Vec::len).min(3);
    if count == 0 {
        eprintln!("no adapter: nothing is checked");
    }
    for index in 0..count {
        let found = place.json(&format!(
            "train --device {index} --epochs 1 --repeats 1 --json --method dsrl,maf-srl \
             --hidden 16 --layers 3 --out-dir ."
        ));
        assert!(found["verification"]["checked"].as_u64().unwrap() > 0, "{index}");
        assert_eq!(found["verification"]["mismatches"], 0, "{index}");
        for method in found["methods"].as_array().unwrap() {
            assert!(method["accuracy_mean"].as_f64().unwrap() > 0.2, "{index}: {method}");
        }
    }
}

#[test]
fn studies_write_a_table_and_a_chart() {
    let place = Place::new();
    let list = "tl1(a=0.1),tl1(a=10),integrated-tl1(a=0.1)";
    let found =
        train(&place, &format!("--preset tl1-a --name tl1-a --method {list} --lambda 0.01,0.1 --hidden 16"));
    assert_eq!(found["methods"].as_array().unwrap().len(), 6);
    let found = train(&place, "--preset layers --name layers --layers 2,3 --hidden 16");
    assert_eq!(found["methods"].as_array().unwrap().len(), 4);
    for (name, rows) in [("tl1-a", 3 + 6), ("layers", 4 + 4)] {
        let text = place.text(&format!("{name}/{name}.md"));
        let methods = |l: &&str| l.starts_with("| ") && !l.starts_with("| method");
        assert_eq!(text.lines().filter(methods).count(), rows, "{text}");
        place.shows(&format!("{name}/{name}.svg"), &[]);
    }
}

/// The weights of both layers in a file.
fn weights(place: &Place, file: &str) -> Vec<f32> {
    ["layers.0.weight", "layers.1.weight"].iter().flat_map(|name| place.tensor(file, name)).collect()
}

#[test]
fn a_method_with_groups_takes_whole_neurons_out() {
    let place = Place::new();
    let list = "integrated-tl1(s=0.3),tl1(a=0.5)+lasso(weight=sqrt-size)";
    let found = train(&place, &format!("--method {list} --lambda 0.02 --group-lambda 0.03"));
    for method in found["methods"].as_array().unwrap() {
        assert_eq!(method["group_lambda"], 0.03);
        let neurons = method["neuron_sparsity"].as_f64().unwrap();
        assert!(neurons > 0.0, "{method}");
        assert_eq!(method["neurons_alive"].as_f64().unwrap(), 128.0 * (1.0 - neurons));
        // one hidden layer: its neurons are all that operations depend on
        assert!((method["flop_share"].as_f64().unwrap() - (1.0 - neurons)).abs() < 1e-12);
        assert!(method["accuracy_mean"].as_f64().unwrap() > 0.5);
    }
}

#[test]
fn every_solver_reports_what_it_keeps() {
    let place = Place::new();
    let solvers = "proximal,proximal-subgradient,subgradient,splitting";
    let found = train(&place, &format!("--method sgl --lambda 0.05 --solver {solvers} --refit 0 --beta 1"));
    let rows = found["methods"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|m| m["solver"].as_str().unwrap()).collect();
    assert_eq!(names, solvers.split(',').collect::<Vec<_>>());
    for row in rows {
        let sparsity = row["weight_sparsity"].as_f64().unwrap();
        let solver = row["solver"].as_str().unwrap();
        assert_eq!(sparsity > 0.0, solver != "subgradient", "{row}");
        assert_eq!(row.get("accuracy_of_w").is_some(), solver == "splitting");
        // what is said is said of the weights that are kept: with splitting, of V
        let weights = weights(&place, &format!("digits/sgl-{solver}-seed0.safetensors"));
        let kept = weights.iter().filter(|w| w.to_bits() == 0).count() as f64 / weights.len() as f64;
        assert!((kept - sparsity).abs() < 1e-12, "{solver}: {kept} {sparsity}");
    }
}

#[test]
fn the_preset_writes_the_comparison() {
    let place = Place::new();
    let found = train(&place, "--preset solvers --lambda 0.01,0.1 --hidden 16");
    assert_eq!(found["methods"].as_array().unwrap().len(), 8);
    let best = &found["methods"][0]["runs"][0]["best"];
    assert!(best["test"].as_f64().unwrap() > 0.0 && best["epoch"].as_u64().unwrap() >= 1);
    let text = place.text("digits/solvers.md");
    assert!(text.contains("after the last epoch") && text.contains("| lambda 0.1 |"), "{text}");
    place.shows("digits/solvers.svg", &[]);
}

/// The classes that a network of two layers finds, by plain loops that share nothing with the library.
fn predictions(place: &Place, file: &str, x: &ndarray::Array2<f32>) -> Vec<usize> {
    let layers = [0, 1].map(|k| ["weight", "bias"].map(|of| place.tensor(file, &format!("layers.{k}.{of}"))));
    let layer = |k: usize, input: &[f32]| -> Vec<f32> {
        let [weight, bias] = &layers[k];
        let rows = weight.chunks_exact(input.len()).zip(bias);
        rows.map(|(row, b)| row.iter().zip(input).map(|(w, a)| w * a).sum::<f32>() + b).collect()
    };
    x.outer_iter()
        .map(|row| {
            let hidden: Vec<f32> = layer(0, &row.to_vec()).iter().map(|z| z.max(0.0)).collect();
            let logits = layer(1, &hidden);
            (0..logits.len()).fold(0, |best, k| if logits[k] > logits[best] { k } else { best })
        })
        .collect()
}

#[test]
fn a_trained_network_made_compact_predicts_the_same() {
    let place = Place::new();
    let trained = place.json("train --device cpu --repeats 1 --method integrated-tl1 --epochs 12 --json");
    let large = "runs/digits/integrated-tl1-seed0.safetensors";
    let report = place.json(&format!("compact --in {large} --out small.safetensors --json"));
    let alive = trained["methods"][0]["neurons_alive"].as_f64().unwrap();
    assert!(alive < 100.0, "{alive}");
    assert_eq!(report["total"]["neurons_alive"].as_f64().unwrap(), alive);
    assert_eq!(report["proof"]["predictions_equal"], report["proof"]["inputs"]);
    let parameters = |when: &str| report["total"][when]["parameters"].as_u64().unwrap();
    assert!(parameters("after") < parameters("before"));

    let split = maf_srl_lab::train::prepared(maf_srl_lab::data::Source::Digits.load(None).unwrap());
    let before = predictions(&place, large, &split.test.features);
    assert_eq!(before, predictions(&place, "small.safetensors", &split.test.features));
    let right = before.iter().zip(&split.test.labels).filter(|(a, b)| a == b).count();
    let accuracy = right as f64 / before.len() as f64;
    assert!((accuracy - trained["methods"][0]["accuracy_mean"].as_f64().unwrap()).abs() < 1e-9, "{accuracy}");
}
