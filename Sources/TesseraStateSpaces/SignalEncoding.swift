import TesseraCore

/// A signal in a file through a system, to the states after its samples, some MiB at a time.
package struct SignalEncoding: Encodable {
  /// The samples of each channel.
  package let samples: Int
  let channels: Int
  /// The shape of the states: rows, channels where the signal has that axis, the axes of a state.
  package let shape: [Int]
  let dtype: FloatType
  private let encoder: SignalEncoder
  private let every: Int
  private let input: String
  private let file: ArrayFile

  private enum CodingKeys: String, CodingKey {
    case samples, channels, shape, dtype
  }

  /// Opens the signal.
  ///
  /// - Parameters:
  ///   - input: Real numbers [samples] or [samples, channels] (.npy).
  ///   - system: The system.
  ///   - stepping: How it is stepped.
  ///   - every: The samples per row of states.
  ///   - dtype: The precision of the states.
  /// - Throws: `TesseraError`, naming the file.
  package init(
    of input: String,
    through system: HippoSystem,
    stepping: SignalEncoder.Stepping,
    every: Int,
    dtype: FloatType
  ) throws {
    file = try ArrayFile(path: input)
    let shape = file.header.shape
    let channels = shape.rank == 2 ? shape[1] : 1
    guard 1...2 ~= shape.rank, (1...1 << 20).contains(channels), let count = shape.elementCount
    else {
      throw TesseraError.mismatch("\(shape) is neither [samples] nor [samples, channels]").in(input)
    }
    encoder = try TesseraError.naming(input) {
      try SignalEncoder(system, stepping: stepping, channels: channels)
    }
    samples = count / channels
    let rows = samples / every + (samples % every == 0 ? 0 : 1)
    self.shape = (shape.rank == 2 ? [rows, channels] : [rows]) + encoder.stateShape
    (self.channels, self.dtype, self.every, self.input) = (channels, dtype, every, input)
  }

  /// Writes the states as a .npy file.
  ///
  /// - Parameters:
  ///   - output: The final path.
  ///   - progress: Is told how many samples are done.
  /// - Throws: `TesseraError`, naming the file.
  package func write(to output: String, progress: (Int) -> Void) throws {
    guard let header = NPYHeader(elementType: dtype.elementType, shape: Shape(shape)),
      let encoded = header.encoded
    else {
      throw TesseraError.limit("states of shape \(shape) are larger than a file can be").in(input)
    }
    var written = try AtomicFile(path: output, reading: [input])
    try written.write(encoded)
    // Some MiB of rows, and as many of samples.
    let perSample = max(encoder.rowCount / every, channels, 1)
    let block = min(1 << 16, max(1, (1 << 20) / perSample))
    for start in stride(from: 0, to: samples, by: block) {
      let end = min(samples, start + block)
      guard
        let values = StateSpaceArray(try file.read(start * channels..<end * channels))?.values
      else {
        throw TesseraError.mismatch(
          "a signal is real, and this is \(file.header.elementType.rawValue)"
        )
        .in(input)
      }
      let rows = try TesseraError.naming(input) { try encoder.encode(values, every: every) }
      try written.write(try bytes(rows, before: end))
      progress(end)
    }
    if samples % every != 0 { try written.write(try bytes(encoder.lastRow, before: samples)) }
    try written.commit()
  }

  private func bytes(_ rows: [Double], before sample: Int) throws -> [UInt8] {
    guard dtype == .float32 else { return Tensor(shape: [rows.count], elements: rows).bytes }
    let narrow = rows.map { Float($0) }
    guard narrow.allSatisfy(\.isFinite) else {
      throw TesseraError.limit("a state before sample \(sample) is too large for float32").in(input)
    }
    return Tensor(shape: [rows.count], elements: narrow).bytes
  }
}
