package import TesseraCore

extension Quantizer {
  /// Creates the quantizer that a specification names.
  ///
  /// - Parameters:
  ///   - specification: What a file says.
  ///   - parameter: Gives the codebook or convolution weight of that name as float32, row-major, or nil where
  ///     there is none: from a `.npy` file or a checkpoint. Its own errors pass through.
  /// - Throws: `TesseraError`, naming the tensor.
  package init(
    _ specification: QuantizerSpecification,
    parameter: (_ name: String) throws -> (shape: Shape, values: [Float])?
  ) throws {
    switch specification {
    case .finiteScalar(let quantizer): self = .finiteScalar(quantizer)
    case .binary(let quantizer): self = .binary(quantizer)
    case .vector(let vector):
      self = .vector(try VectorQuantizer(vector, parameter: parameter))
    case .grouped(let groups):
      let groups = try groups.map { try Quantizer($0, parameter: parameter) }
      self = .grouped(try GroupedQuantizer(groups: groups))
    case .residual(let residual):
      let quantizer = try ResidualQuantizer(
        stages: try residual.stages.map { try Quantizer($0, parameter: parameter) },
        scales: residual.scales,
        softClamp: residual.softClamp
      )
      self = .residual(quantizer)
    case .multiScale(let scales):
      let vector = try VectorQuantizer(scales.vector, parameter: parameter)
      let refinement = try scales.refinement.map {
        try MultiScaleQuantizer.Refinement(
          names: $0.convolutions,
          dimensions: vector.dimensions,
          ratio: $0.ratio,
          parameter: parameter
        )
      }
      let quantizer = try MultiScaleQuantizer(
        scales: scales.scales,
        quantizer: vector,
        refinement: refinement
      )
      self = .multiScale(quantizer)
    }
  }
}

extension VectorQuantizer {
  /// Creates the quantizer that a specification names.
  fileprivate init(
    _ specification: VectorSpecification,
    parameter: (_ name: String) throws -> (shape: Shape, values: [Float])?
  ) throws {
    guard let name = specification.codebook else {
      try self.init(logits: specification.dimensions ?? 0)
      return
    }
    guard let found = try parameter(name) else {
      throw TesseraError.mismatch("there is no codebook '\(name)'")
    }
    guard found.shape.rank == 2 else {
      throw TesseraError.mismatch(
        "the codebook '\(name)' has the shape \(found.shape), and [codes, dimensions] is expected"
      )
    }
    let codebook = try Codebook(
      count: found.shape[0],
      dimensions: found.shape[1],
      values: found.values
    )
    try self.init(rule: specification.rule, codebook: codebook, lookup: specification.lookup)
  }
}
