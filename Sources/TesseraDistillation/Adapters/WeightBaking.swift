package import TesseraCheckpoints
import TesseraCore
package import TesseraRules

/// Parametrizations that training needs and inference does not, computed once: `convert --bake`.
package enum WeightBaking: String, Sendable, Hashable, CaseIterable {
  /// `weight_g` and `weight_v` (or `parametrizations.weight.original0/1`) → `weight`:
  /// g v / ‖v‖ (Salimans and Kingma, arXiv 1602.07868).
  case weightNorm = "weight-norm"
  /// EDM2's magnitude-preserving layers (Karras et al., arXiv 2312.02696): each row brought to norm 1
  /// and divided by sqrt(fan-in), and the gains of blocks and output multiplied in.
  case edm2
  /// EDM's attention: rows of `qkv` from (head, channel, {q, k, v}) to ({q, k, v}, head, channel);
  /// heads are parts of the channels, so their number does not matter.
  case edmQKV = "edm-qkv"

  /// The checkpoint with its baked weights, computed when they are read.
  ///
  /// - Parameter base: What is baked.
  /// - Returns: A view of the base.
  /// - Throws: `TesseraError` where nothing in it is to be baked, or a half of a pair is missing.
  package func baked(_ base: any CheckpointReader) throws -> ComputedCheckpoint {
    let (computed, removed) =
      switch self {
      case .weightNorm: try WeightNormalization.bake(base)
      case .edm2: try MagnitudePreservation.bake(base)
      case .edmQKV: (try InterleavedAttention.split(base), [])
      }
    guard !computed.isEmpty else {
      let cause = "nothing in the checkpoint is to be baked by '\(rawValue)'"
      throw TesseraError.mismatch(cause)
    }
    return try ComputedCheckpoint(
      base,
      computing: computed,
      removing: removed,
      attributes: ["tessera.bake": rawValue],
      notes: ["baked \(computed.count) weights (\(rawValue)); not reversible"]
    )
  }
}

/// The slices of a tensor that have a norm each: along one axis, or the whole tensor as one.
private struct Slices {
  /// Whether a slice is a row.
  let areRows: Bool
  let count: Int
  private let inner: Int

  /// Slices along an axis of a shape; nil makes the whole of it one.
  init(_ shape: Shape, axis: Int?) {
    areRows = axis == 0
    count = axis.map { shape[$0] } ?? 1
    inner = axis.map { Shape(Array(shape.dimensions[($0 + 1)...])).elementCount ?? 1 } ?? 1
  }

  /// The slice of a position in a row.
  func index(row: Int, position: Int) -> Int { areRows ? row : position / inner % count }
}

/// torch.nn.utils.weight_norm in both of its generations.
private enum WeightNormalization {
  static func bake(
    _ base: any CheckpointReader
  ) throws -> (computed: [ComputedTensor], removed: Set<String>) {
    let table = Dictionary(base.tensors.map { ($0.name, $0) }) { first, _ in first }
    var computed: [ComputedTensor] = []
    var removed: Set<String> = []
    for direction in base.tensors {
      guard let (gainName, name) = names(of: direction.name) else { continue }
      guard let gain = table[gainName] else {
        throw TesseraError.mismatch(
          "its norms '\(gainName)' are missing",
          place: "'\(direction.name)'"
        )
      }
      computed.append(try weight(name, direction, gain, base))
      removed.formUnion([direction.name, gain.name])
    }
    let gains = base.tensors.map(\.name).filter(isGain)
    if let alone = gains.first(where: { !removed.contains($0) }) {
      throw TesseraError.mismatch(
        "the directions that belong to these norms are missing",
        place: "'\(alone)'"
      )
    }
    return (computed, removed)
  }

  private static func isGain(_ name: String) -> Bool {
    name == "weight_g" || name.hasSuffix(".weight_g")
      || name.hasSuffix("parametrizations.weight.original0")
  }

  /// The names of the norms and of the result, for the name of a direction.
  private static func names(of direction: String) -> (gain: String, weight: String)? {
    if direction.hasSuffix(".weight_v") || direction == "weight_v" {
      return (direction.dropLast(1) + "g", String(direction.dropLast(2)))
    }
    let ending = "parametrizations.weight.original1"
    guard direction.hasSuffix(ending) else { return nil }
    return (direction.dropLast(1) + "0", direction.dropLast(ending.count) + "weight")
  }

  private static func weight(
    _ name: String,
    _ direction: TensorInfo,
    _ gain: TensorInfo,
    _ base: any CheckpointReader
  ) throws -> ComputedTensor {
    let shape = direction.shape
    let slices = try slices(of: direction, gain)
    let gains = try base.floats(of: gain)
    guard gains.count == slices.count else {
      throw TesseraError.mismatch(
        "\(gains.count) norms for \(slices.count) slices",
        place: "'\(gain.name)'"
      )
    }
    let columns = (shape.elementCount ?? 0) / max(shape[0], 1)
    // Slices along other axes than the first run through all rows: their norms are summed once.
    let norms =
      slices.areRows ? nil : try squareSums(direction, slices, base).map { $0.squareRoot() }
    let info = TensorInfo(name: name, elementType: direction.elementType, shape: shape)
    return ComputedTensor(info: info) { rows in
      var values = try base.floats(of: direction, rows: rows)
      for (index, row) in rows.enumerated() {
        let range = index * columns..<(index + 1) * columns
        let own = values[range].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        for position in range {
          let slice = slices.index(row: row, position: position - range.lowerBound)
          let norm = norms.map { $0[slice] } ?? own
          let factor = Double(gains[slice]) / norm
          guard factor.isFinite else {
            let cause = "slice \(slice) has the norm \(norm), and weights are divided by it"
            throw TesseraError.limit(cause, place: "'\(direction.name)'")
          }
          values[position] = Float(Double(values[position]) * factor)
        }
      }
      return values
    }
  }

  /// What each norm belongs to.
  private static func slices(
    of direction: TensorInfo,
    _ gain: TensorInfo
  ) throws(TesseraError) -> Slices {
    let shape = direction.shape
    let axes = gain.shape.dimensions.indices.filter { gain.shape[$0] != 1 }
    guard shape.rank > 0, axes.count <= 1, [0, shape.rank].contains(gain.shape.rank),
      direction.elementType.isMergeable, axes.allSatisfy({ gain.shape[$0] == shape[$0] })
    else {
      throw TesseraError.mismatch(
        "its norms are \(gain.shape) for \(shape); one axis at most may differ from 1",
        place: "'\(direction.name)'"
      )
    }
    return Slices(shape, axis: gain.shape.rank == 0 ? nil : axes.first ?? 0)
  }

  private static func squareSums(
    _ tensor: TensorInfo,
    _ slices: Slices,
    _ base: any CheckpointReader
  ) throws -> [Double] {
    var sums = [Double](repeating: 0, count: slices.count)
    for row in 0..<tensor.shape[0] {
      for (position, value) in try base.floats(of: tensor, rows: row..<row + 1).enumerated() {
        sums[slices.index(row: row, position: position)] += Double(value) * Double(value)
      }
    }
    return sums
  }
}

/// EDM2's layers: w = v / (ε + ‖v‖ / sqrt(n)) · gain / sqrt(n), with n the fan-in and ε = 1e-4.
private enum MagnitudePreservation {
  static func bake(
    _ base: any CheckpointReader
  ) throws -> (computed: [ComputedTensor], removed: Set<String>) {
    let table = Dictionary(base.tensors.map { ($0.name, $0) }) { first, _ in first }
    let outputs = base.tensors.filter { $0.name.hasSuffix("out_gain") }
    guard let output = outputs.first else { return ([], []) }
    guard outputs.count == 1 else {
      let cause =
        "\(outputs.count) tensors end in 'out_gain', and one network has one; choose it with --pick"
      throw TesseraError.mismatch(cause, place: "'\(output.name)'")
    }
    var removed: Set<String> = [output.name]
    var computed: [ComputedTensor] = []
    for tensor in base.tensors where tensor.name.hasSuffix(".weight") && tensor.shape.rank >= 2 {
      var gain: Float = 1
      let module = tensor.name.dropLast(".weight".count)
      if module.hasSuffix("out_conv") {
        gain = try value(of: output, base)
      } else if module.hasSuffix("emb_linear") {
        let name = "\(module.dropLast("emb_linear".count))emb_gain"
        guard let own = table[name] else {
          throw TesseraError.mismatch("its gain '\(name)' is missing", place: "'\(tensor.name)'")
        }
        gain = try value(of: own, base)
        removed.insert(own.name)
      }
      guard tensor.elementType.isMergeable else {
        throw TesseraError.mismatch(
          "\(tensor.elementType.rawValue) is not baked",
          place: "'\(tensor.name)'"
        )
      }
      computed.append(weight(tensor, gain: gain, base))
    }
    return (computed, removed)
  }

  private static func value(of gain: TensorInfo, _ base: any CheckpointReader) throws -> Float {
    guard gain.shape.elementCount == 1, let value = try base.floats(of: gain).first else {
      throw TesseraError.mismatch("\(gain.shape) is no single gain", place: "'\(gain.name)'")
    }
    guard value.isFinite else {
      let cause = "the gain is \(value), and weights are multiplied by it"
      throw TesseraError.limit(cause, place: "'\(gain.name)'")
    }
    return value
  }

  private static func weight(
    _ tensor: TensorInfo,
    gain: Float,
    _ base: any CheckpointReader
  ) -> ComputedTensor {
    let info = TensorInfo(name: tensor.name, elementType: tensor.elementType, shape: tensor.shape)
    return ComputedTensor(info: info) { rows in
      var values = try base.floats(of: tensor, rows: rows)
      let columns = rows.isEmpty ? 1 : values.count / rows.count
      let root = Double(columns).squareRoot()
      for index in 0..<rows.count {
        let range = index * columns..<(index + 1) * columns
        let norm = values[range].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        let factor = Double(gain) / root / (1e-4 + norm / root)
        guard norm.isFinite else {
          let cause = "row \(rows.lowerBound + index) has the norm \(norm)"
          throw TesseraError.limit(cause, place: "'\(tensor.name)'")
        }
        for position in range { values[position] = Float(Double(values[position]) * factor) }
      }
      return values
    }
  }
}

/// EDM's attention, whose rows of q, k and v alternate: row 3 i + part becomes row part · C + i.
private enum InterleavedAttention {
  static func split(_ base: any CheckpointReader) throws -> [ComputedTensor] {
    try base.tensors.filter { tensor in
      tensor.name.hasSuffix(".qkv.weight") || tensor.name.hasSuffix(".qkv.bias")
    }.map { tensor in
      let count = tensor.shape.rank == 0 ? 0 : tensor.shape[0]
      guard count > 0, count.isMultiple(of: 3), tensor.elementType.isMergeable else {
        let cause = "\(tensor.elementType.rawValue) \(tensor.shape) does not hold q, k and v"
        throw TesseraError.mismatch(cause, place: "'\(tensor.name)'")
      }
      let info = TensorInfo(name: tensor.name, elementType: tensor.elementType, shape: tensor.shape)
      return ComputedTensor(info: info) { rows in
        try rows.flatMap { row in
          let source = row % (count / 3) * 3 + row / (count / 3)
          return try base.floats(of: tensor, rows: source..<source + 1)
        }
      }
    }
  }
}
