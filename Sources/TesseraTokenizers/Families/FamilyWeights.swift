internal import TesseraCheckpoints
internal import TesseraCore

/// The weights of a family's checkpoint as networks and quantizers ask for them.
struct FamilyWeights: Sendable {
  private let tensors: FamilyTensors
  private let files: [File]

  private struct File: Sendable {
    let checkpoint: any CheckpointReader
    let tensors: [String: TensorInfo]

    /// A tensor as float32; float16 and bfloat16 widened exactly.
    func floats(_ name: String) throws -> (shape: Shape, values: [Float]) {
      guard let info = tensors[name], let count = info.shape.elementCount,
        let size = info.elementType.byteCount(elements: count)
      else { throw TesseraError.unrecognized(name: name, reason: "gone, or of an impossible size") }
      var bytes = [UInt8](repeating: 0, count: size)
      try unsafe bytes.withUnsafeMutableBytes { buffer in
        try unsafe checkpoint.read(0..<count, of: info, into: buffer)
      }
      let tensor = Tensor(elementType: info.elementType, shape: info.shape, bytes: bytes)
      return (info.shape, try tensor.floats())
    }
  }

  init(_ tensors: FamilyTensors, in checkpoints: [any CheckpointReader]) {
    self.tensors = tensors
    files = checkpoints.map { checkpoint in
      let named = checkpoint.tensors.map { ($0.name, $0) }
      return File(
        checkpoint: checkpoint,
        tensors: Dictionary(named) { first, _ in first }
      )
    }
  }

  /// A tensor by the graphs' name, or nil where there is none.
  func floats(_ name: String) throws -> (shape: Shape, values: [Float])? {
    guard let entry = tensors.entries[name] else { return nil }
    let file = files[entry.file]
    return try entry.recipe.values { try file.floats($0) }
  }
}

// MARK: - Tensors of known values

extension FamilyWeights {
  /// Compares the tensors whose values follow from the quantizer or the network with what is computed.
  ///
  /// - Throws: `contradictory` with the first that holds something else.
  func checkConstants(of quantizer: QuantizerSpecification) throws {
    for constant in tensors.constants.sorted(by: { $0.name < $1.name }) {
      let found = try files[constant.file].floats(constant.name)
      let expected = constant.value.expected(quantizer, shape: found.shape)
      // Half precision keeps 8 bits of what is stored.
      guard let expected, zip(found.values, expected).allSatisfy({ abs($0 - $1) <= abs($1) / 128 })
      else {
        throw TesseraError.contradictory(
          name: constant.name,
          reason:
            "its values are not those of the tokenizer that is computed; name levels, order or "
            + "quantizer as the checkpoint has them"
        )
      }
    }
  }
}

extension FamilyEntry.FixedTensor {
  /// The values; nil where a quantizer, or a tensor of that shape, has no such tensor.
  fileprivate func expected(_ quantizer: QuantizerSpecification, shape: Shape) -> [Float]? {
    let values: (shape: Shape, values: () -> [Float])
    switch (self, quantizer) {
    case (.haar, _): values = ([2], { [Float](repeating: Float(0.5.squareRoot()), count: 2) })
    case (.zeroAndOne, _): values = ([2], { [0, 1] })
    case (.levels, .finiteScalar(let scalar)):
      values = ([scalar.levels.count], { scalar.levels.map { Float($0) } })
    case (.basis, .finiteScalar(let scalar)):
      values = ([scalar.levels.count], { Self.basis(scalar).map { Float($0) } })
    case (.values, .finiteScalar(let scalar)):
      values = ([scalar.vocabularySize, scalar.levels.count], { Self.values(scalar) })
    case (.powers, .binary(let binary)):
      values = ([binary.dimensions], { Self.powers(binary).map { Float($0) } })
    case (.signs, .binary(let binary)):
      values = ([binary.vocabularySize, binary.dimensions], { Self.signs(binary) })
    case (.levels, _), (.basis, _), (.values, _), (.powers, _), (.signs, _): return nil
    }
    // The file holds as many values as its shape says, so no more are made.
    return shape == values.shape ? values.values() : nil
  }

  private static func basis(_ scalar: FiniteScalarQuantizer) -> [Int] {
    var products = [1]
    for level in scalar.levels.dropLast() { products.append(products.last.map { $0 * level } ?? 1) }
    return products
  }

  /// (digit - half) / half for each digit of each code.
  private static func values(_ scalar: FiniteScalarQuantizer) -> [Float] {
    let basis = basis(scalar)
    return (0..<scalar.vocabularySize).flatMap { code in
      zip(basis, scalar.levels).map { base, level -> Float in
        let half = level / 2
        return Float(code / base % level - half) / Float(half)
      }
    }
  }

  private static func powers(_ binary: BinaryQuantizer) -> [Int] {
    (0..<binary.dimensions).map {
      1 << (binary.order == .little ? $0 : binary.dimensions - 1 - $0)
    }
  }

  /// 1 for each bit that a code has, -1 for the others.
  private static func signs(_ binary: BinaryQuantizer) -> [Float] {
    let powers = powers(binary)
    return (0..<binary.vocabularySize).flatMap { code in
      powers.map { code & $0 == 0 ? Float(-1) : 1 }
    }
  }
}
