import TesseraCheckpoints
import TesseraCore

/// What names and types of tensors say of codes and their scales.
struct QuantizedNames {
  private let siblings: [String: [TensorInfo]]
  private let all: [String: TensorInfo]
  /// The tensors of a parent whose own names are those of scales or of what belongs to codes.
  private let named: [String: [TensorInfo]]
  /// The scales of each tensor that is called by a name and a marker: of `fc.weight`, `fc.weight_scale`.
  private let marked: [String: [TensorInfo]]

  init(_ tensors: [TensorInfo]) {
    siblings = Dictionary(grouping: tensors) { QuantizedNames.parent(of: $0.name) }
    all = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    let known = QuantizedNames.codes.values.reduce(QuantizedNames.scales) {
      $0.union($1.companions)
    }
    named = siblings.mapValues { $0.filter { known.contains(QuantizedNames.leaf(of: $0.name)) } }
    var marked: [String: [TensorInfo]] = [:]
    for tensor in tensors {
      for name in QuantizedNames.scaled(by: tensor.name) {
        marked[name, default: []].append(tensor)
      }
    }
    self.marked = marked
  }

  private static let markers = [
    "_scale", "_zero", "_absmax", "_global_scale", "_qscale", "_amax", "_qparams",
  ]

  /// The names of the tensors whose scale this may be: `weight` and `weight_global` of
  /// `weight_global_scale`.
  private static func scaled(by name: String) -> Set<String> {
    let lowercased = name.lowercased()
    guard lowercased.utf8.count == name.utf8.count else { return [] }
    let leaf = name.lastIndex { $0 == "." || $0 == "/" } ?? name.startIndex
    var names: Set<String> = []
    for marker in markers {
      for range in lowercased.ranges(of: marker) where range.lowerBound >= leaf {
        let count = lowercased.utf8.distance(from: lowercased.startIndex, to: range.lowerBound)
        names.insert(String(decoding: name.utf8.prefix(count), as: UTF8.self))
      }
    }
    return names
  }

  /// What stands before the last dot or slash.
  static func parent(of name: String) -> String {
    name.lastIndex { $0 == "." || $0 == "/" }.map { String(name[..<$0]) } ?? ""
  }

  static func leaf(of name: String) -> String {
    let end = name.lastIndex { $0 == "." || $0 == "/" }
    return end.map { String(name[name.index(after: $0)...]) } ?? name
  }

  /// Names that only codes have, with the scheme and what belongs to them.
  private static let codes: [String: (scheme: String, companions: Set<String>)] = [
    "qweight": (
      "GPTQ or AWQ", ["qzeros", "scales", "g_idx", "scales_and_zp", "scaled_zeros", "bias"]
    ),
    "weight_packed": (
      "compressed-tensors",
      ["weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx", "weight_global_scale"]
    ),
    "W_q": ("HQQ", ["scale", "zero", "meta", "shape", "axis", "group_size", "nbits"]),
    "q_weight": (
      "EXL2", ["q_scale", "q_scale_max", "q_groups", "q_group_map", "q_perm", "q_invperm"]
    ),
    "trellis": ("EXL3", ["suh", "svh", "su", "sv", "mcg", "mul1"]),
    "Qidxs": ("QuIP#", ["SU", "SV", "Wscale", "codebook_id"]),
    "codes": ("AQLM", ["codebooks", "scales"]),
    "qidxs": ("QuIP#", ["su", "sv", "wscale"]),
    "_data": ("quanto", ["_scale", "_shift", "_zeropoint"]),
    "_int_data": ("torchao", ["_scale", "scale", "zero_point"]),
  ]

  /// Scales that stand beside codes under names of their own.
  private static let scales: Set<String> = [
    "scale", "scales", "biases", "scale_weight", "weight_scales", "SCB", "SCBt", "absmax",
    "quant_state",
    "quant_map", "weight_s", "w_scale", "wscale", "scaling_factor", "comfy_quant", "weight_format",
    "scale_inv", "scales_inv", "qscale", "quant_scale", "dequant_scale", "deq_scale",
  ]

  private static let bytes: Set<ElementType> = [
    .int8, .uint8, .float8E4M3, .float8E5M2, .float8E4M3FNUZ, .float8E5M2FNUZ, .float4,
    .float6E2M3, .float6E3M2,
  ]
  private static let words: Set<ElementType> = [.int16, .uint16, .int32, .uint32]

  /// What a tensor is, if it is codes.
  func code(_ tensor: TensorInfo) -> QuantizedWeights.Code? {
    let leaf = QuantizedNames.leaf(of: tensor.name)
    let parent = QuantizedNames.parent(of: tensor.name)
    let beside = named[parent, default: []].filter { $0.name != tensor.name }
    if let known = QuantizedNames.codes[leaf] {
      let found = beside.filter {
        known.companions.contains(QuantizedNames.leaf(of: $0.name))
          && QuantizedNames.leaf(of: $0.name) != "bias"
      }
      if leaf != "codes" && leaf != "_data" || !found.isEmpty {
        return code(tensor, known.scheme, found)
      }
    }
    let isBytes = QuantizedNames.bytes.contains(tensor.elementType)
    let isWords = QuantizedNames.words.contains(tensor.elementType) && leaf.contains("weight")
    guard isBytes || isWords, tensor.shape.elementCount != 1 else { return nil }
    guard leaf != "comfy_quant" else { return nil }
    // bitsandbytes: what belongs to `x.weight` stands under that name.
    let under =
      siblings[tensor.name, default: []] + siblings[tensor.name + ".quant_state", default: []]
    let stems = Set(
      [tensor.name]
        + ["_quantized", "_blocks"].filter(leaf.hasSuffix).map {
          String(tensor.name.dropLast($0.count))
        }
    )
    let scales =
      stems.sorted().flatMap { marked[$0, default: []] }.filter { $0.name != tensor.name }
      + (parent.isEmpty
        ? [] : beside.filter { QuantizedNames.scales.contains(QuantizedNames.leaf(of: $0.name)) })
    let outer = parent.isEmpty ? [] : outside(parent)
    let found = scales + under + outer
    guard found.contains(where: { !$0.name.hasSuffix(".bias") }) else { return nil }
    return code(tensor, scheme(of: tensor, found), found)
  }

  /// Scales beside the module: `fc_scale` for `fc.weight`.
  private func outside(_ parent: String) -> [TensorInfo] {
    ["_scale", "_scales", "_scale_inv", "_weight_scale"].compactMap { all[parent + $0] }
  }

  private func code(
    _ tensor: TensorInfo,
    _ scheme: String,
    _ found: [TensorInfo]
  ) -> QuantizedWeights.Code {
    QuantizedWeights.Code(name: tensor.name, scheme: scheme, companions: found.map(\.name))
  }

  private func scheme(of tensor: TensorInfo, _ found: [TensorInfo]) -> String {
    let names = found.map { QuantizedNames.leaf(of: $0.name) }
    if names.contains("SCB") { return "bitsandbytes int8" }
    if names.contains(where: { $0 == "absmax" || $0.hasPrefix("quant_state") }) {
      return "bitsandbytes 4-bit"
    }
    if tensor.name.hasSuffix("_blocks") { return "MXFP4" }
    switch tensor.elementType {
    case .int8: return "int8"
    case .uint8: return "4-bit or uint8"
    case .float8E4M3, .float8E4M3FNUZ: return "FP8 (E4M3)"
    case .float8E5M2, .float8E5M2FNUZ: return "FP8 (E5M2)"
    default: return "packed \(tensor.elementType.rawValue)"
    }
  }

  /// Keras' quantized kernels; their scales are numbered like the layer's other variables.
  func kerasCode(_ tensor: TensorInfo) -> QuantizedWeights.Code? {
    guard [.int8, .uint8].contains(tensor.elementType), tensor.shape.rank >= 2 else { return nil }
    return QuantizedWeights.Code(
      name: tensor.name,
      scheme: "Keras \(tensor.elementType.rawValue.lowercased())",
      companions: siblings[QuantizedNames.parent(of: tensor.name), default: []].map(\.name)
        .filter { $0 != tensor.name }
    )
  }
}
