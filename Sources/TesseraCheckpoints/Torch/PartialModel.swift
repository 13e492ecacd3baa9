import Foundation

/// What tells that a file of PyTorch's holds one rank's part of a model, and not the whole of it.
enum PartialModel {
  /// The refusals of a file whose tensors or settings say that other files hold the rest.
  ///
  /// DeepSpeed's ZeRO keeps flat partitions under these names (`deepspeed/checkpoint/constants.py`);
  /// its model states and Megatron's arguments say how many files a model is in.
  static func refusals(
    tensors: [String],
    attributes: [String: String]
  ) -> [TensorRefusal] {
    let partition = tensors.first { name in
      name.split(separator: ".").contains { partitions.contains(String($0)) }
    }
    if let partition {
      let cause =
        "'\(partition)' is a flat partition of DeepSpeed's ZeRO, of which each rank has a part: "
        + "join them with the zero_to_fp32.py beside the checkpoint"
      return [TensorRefusal("", cause)]
    }
    for key in [
      "mp_world_size", "args.tensor_model_parallel_size", "args.pipeline_model_parallel_size",
    ] {
      guard let count = attributes[key].flatMap({ Int($0) }), count > 1 else { continue }
      let cause = "one of \(count) parts of a model (\(key)): join them in the training code first"
      return [TensorRefusal("", cause)]
    }
    if let stage = attributes["ds_config.zero_optimization.stage"], stage == "3" {
      return [
        TensorRefusal("", "a part of DeepSpeed's ZeRO-3: join the files with zero_to_fp32.py")
      ]
    }
    return []
  }

  private static let partitions: Set<String> = [
    "single_partition_of_fp32_groups", "fp32_flat_groups", "base_optimizer_state_flat",
  ]
}
