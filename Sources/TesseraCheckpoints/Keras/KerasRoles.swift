import TesseraCore

/// The variables of each layer class, in the order in which Keras 3 numbers them.
enum KerasRoles {
  private static let weighted = [["kernel"], ["kernel", "bias"]]
  private static let recurrent = [
    ["kernel", "recurrent_kernel"], ["kernel", "recurrent_kernel", "bias"],
  ]
  private static let separable = [
    ["depthwise_kernel", "pointwise_kernel"], ["depthwise_kernel", "pointwise_kernel", "bias"],
  ]
  private static let scaled = [["gamma"], ["beta"], ["gamma", "beta"]]

  /// Every list of variables that a class can have.
  private static let variants: [String: [[String]]] = [
    "Dense": weighted, "EinsumDense": weighted,
    "Conv1D": weighted, "Conv2D": weighted, "Conv3D": weighted,
    "Conv1DTranspose": weighted, "Conv2DTranspose": weighted, "Conv3DTranspose": weighted,
    "DepthwiseConv1D": weighted, "DepthwiseConv2D": weighted,
    "SeparableConv1D": separable, "SeparableConv2D": separable,
    "LSTM": recurrent, "GRU": recurrent, "SimpleRNN": recurrent,
    "LSTMCell": recurrent, "GRUCell": recurrent, "SimpleRNNCell": recurrent,
    "ConvLSTM1D": recurrent, "ConvLSTM2D": recurrent, "ConvLSTM3D": recurrent,
    "BatchNormalization": [
      ["gamma", "beta", "moving_mean", "moving_variance"],
      ["gamma", "moving_mean", "moving_variance"],
      ["beta", "moving_mean", "moving_variance"],
      ["moving_mean", "moving_variance"],
    ],
    "LayerNormalization": scaled, "GroupNormalization": scaled,
    "RMSNormalization": [["scale"]],
    "Embedding": [["embeddings"]],
    "PReLU": [["alpha"]],
    "Attention": [["scale"]], "AdditiveAttention": [["scale"]],
    "Normalization": [["mean", "variance", "count"], ["mean", "variance"]],
    "MultiHeadAttention": weighted,  // each of its four projections
  ]

  /// The classes whose variables are known.
  static var knownClasses: [String] { Array(variants.keys) }

  /// The roles of a layer's numbered variables, or nil where the class is not known or does not have
  /// so many.
  static func roles(
    ofClass name: String,
    _ configuration: KerasConfiguration,
    count: Int
  ) -> [String]? {
    let flags = ["bias": "use_bias", "gamma": "scale", "beta": "center"]
    let fitting = variants[name, default: []].filter { roles in
      roles.count == count
        && flags.allSatisfy { role, flag in
          guard let isUsed = configuration.bool(flag), canHave(role, name) else { return true }
          return roles.contains(role) == isUsed
        }
    }
    // Without a description, gamma alone and beta alone look the same: not guessed.
    return fitting.count == 1 ? fitting[0] : nil
  }

  private static func canHave(_ role: String, _ name: String) -> Bool {
    variants[name, default: []].contains { $0.contains(role) }
  }

  /// The class that these named variables can only belong to, or nil.
  static func className(of variables: [String: Shape]) -> String? {
    let names = Set(variables.keys)
    if names.isSuperset(of: ["moving_mean", "moving_variance"]) { return "BatchNormalization" }
    if names == ["embeddings"] { return "Embedding" }
    if names.contains("query.kernel"), names.contains("output.kernel") {
      return "MultiHeadAttention"
    }
    if let kernel = variables["depthwise_kernel"] {
      let isSeparable = names.contains("pointwise_kernel")
      switch kernel.rank {
      case 3: return isSeparable ? "SeparableConv1D" : "DepthwiseConv1D"
      case 4: return isSeparable ? "SeparableConv2D" : "DepthwiseConv2D"
      default: return nil
      }
    }
    if let kernel = variables["kernel"], let recurrent = variables["recurrent_kernel"] {
      return recurrentClass(kernel: kernel, recurrent: recurrent)
    }
    let isDense = variables["kernel"]?.rank == 2 && variables["bias"].map { $0.rank == 1 } ?? true
    return isDense && names.isSubset(of: ["kernel", "bias"]) ? "Dense" : nil
  }

  /// Tells recurrent layers by the number of their gates.
  static func recurrentClass(kernel: Shape, recurrent: Shape) -> String? {
    guard kernel.rank == 2, recurrent.rank == 2, recurrent[0] > 0,
      kernel[1] == recurrent[1], recurrent[1] % recurrent[0] == 0
    else { return nil }
    switch recurrent[1] / recurrent[0] {
    case 1: return "SimpleRNN"
    case 3: return "GRU"
    case 4: return "LSTM"
    default: return nil
    }
  }
}
