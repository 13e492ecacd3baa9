import TesseraCheckpoints
import TesseraCore

extension KerasLayerRules {
  /// The order of the gates in PyTorch, as places in Keras: LSTM has i, f, c, o in both; GRU has
  /// z, r, h in Keras and r, z, n in PyTorch.
  private var gateOrder: [Int] {
    switch layer.className {
    case "LSTM", "LSTMCell": [0, 1, 2, 3]
    case "GRU", "GRUCell": [1, 0, 2]
    default: [0]
    }
  }

  /// `_l0` and the direction for layers, nothing for cells.
  private var suffix: String {
    if layer.className.hasSuffix("Cell") { return "" }
    return layer.path.last == "backward_layer" ? "_l0_reverse" : "_l0"
  }

  mutating func addRecurrent() throws(TesseraError) {
    try checkActivations()
    let kernel = try variable("kernel", rank: 2)
    let recurrent = try variable("recurrent_kernel", rank: 2)
    let gates = gateOrder.count
    guard kernel.shape[1] == recurrent.shape[1], recurrent.shape[1] == gates * recurrent.shape[0]
    else {
      throw refusal("kernels of \(kernel.shape) and \(recurrent.shape) do not fit \(gates) gates")
    }
    let permuted = gateOrder == Array(0..<gates)
    let order: [TensorOperation] = permuted ? [] : [.permuteBlocks(axis: 1, order: gateOrder)]
    add(kernel, ordering(kernel) + order + [.transpose], to: "weight_ih\(suffix)")
    add(recurrent, order + [.transpose], to: "weight_hh\(suffix)")
    if layer.className.hasPrefix("GRU") {
      try addGRUBias(width: kernel.shape[1])
    } else if layer["bias"] != nil {
      let bias = try variable("bias", rank: 1)
      guard bias.shape == [kernel.shape[1]] else {
        throw refusal("a bias of \(bias.shape) beside a kernel of \(kernel.shape)")
      }
      add(bias, to: "bias_ih\(suffix)")
      let reason = "Keras has one bias, PyTorch adds two"
      imply("bias_hh\(suffix)", like: bias, shape: bias.shape, .zero, reason)
    }
  }

  private mutating func addGRUBias(width: Int) throws(TesseraError) {
    let resetsBefore =
      "reset_after=False multiplies before the recurrent product; torch.nn.GRU computes only reset_after"
    if layer.configuration.bool("reset_after") == false { throw refusal(resetsBefore) }
    guard let bias = layer["bias"] else {
      guard layer.configuration.bool("reset_after") == true else {
        throw refusal(
          "without bias only the configuration tells reset_after; convert the .keras file"
        )
      }
      return
    }
    guard bias.shape.rank == 2 else { throw refusal(resetsBefore) }
    guard bias.shape == [2, width] else { throw refusal("a bias of \(bias.shape)") }
    add(
      ConversionRule(
        sources: [bias],
        operations: [
          .split(axis: 0, sizes: [1, 1]), .reshape(from: [1, width], to: [width]),
          .permuteBlocks(axis: 0, order: gateOrder),
        ],
        targets: ["\(module).bias_ih\(suffix)", "\(module).bias_hh\(suffix)"]
      )
    )
  }

  /// PyTorch's recurrent modules have fixed activations.
  private func checkActivations() throws(TesseraError) {
    let allowed = layer.className.hasPrefix("SimpleRNN") ? ["tanh", "relu"] : ["tanh"]
    if let activation = layer.configuration.text("activation"), !allowed.contains(activation) {
      throw refusal("activation '\(activation)'; PyTorch's module has \(allowed)")
    }
    if let gate = layer.configuration.text("recurrent_activation"), gate != "sigmoid" {
      throw refusal("recurrent_activation '\(gate)'; PyTorch's module has sigmoid")
    }
  }

  /// The four projections become Linear modules: query, key and value from [d, heads, width], the
  /// output to d from [heads, width, d].
  mutating func addAttention() throws(TesseraError) {
    for (role, target) in [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")] {
      let kernel = try variable("\(role).kernel", rank: 3)
      let width = try product(kernel.shape[1], kernel.shape[2])
      let flat = Shape([kernel.shape[0], width])
      add(kernel, [.reshape(from: kernel.shape, to: flat), .transpose], to: "\(target).weight")
      guard layer["\(role).bias"] != nil else { continue }
      let bias = try variable("\(role).bias", rank: 2)
      let length = try product(bias.shape[0], bias.shape[1])
      add(bias, [.reshape(from: bias.shape, to: [length])], to: "\(target).bias")
    }
    let kernel = try variable("output.kernel", rank: 3)
    let width = try product(kernel.shape[0], kernel.shape[1])
    let flat = Shape([width, kernel.shape[2]])
    add(kernel, [.reshape(from: kernel.shape, to: flat), .transpose], to: "out_proj.weight")
    if layer["output.bias"] != nil {
      add(try variable("output.bias", rank: 1), to: "out_proj.bias")
    }
  }

  private func product(_ a: Int, _ b: Int) throws(TesseraError) -> Int {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    if overflow { throw refusal("a shape that overflows") }
    return product
  }
}
