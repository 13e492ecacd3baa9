import Foundation
import TesseraCheckpoints
package import TesseraCore

/// The layers of a checkpoint of state-spaces/s4, version 4: `inv_dt`, `A_real`, `A_imag`, `B`, `C`, and
/// in low-rank ones `P` and `l_kernel`.
///
/// How stored numbers become dt and A is no part of the checkpoint but of the model's configuration, so
/// the user names it.
package struct S4Checkpoint: Sendable {
  /// What is applied to a stored number.
  package enum Transform: String, Sendable, CaseIterable {
    /// e^x.
    case exp
    /// x itself.
    case none

    func callAsFunction(_ value: Double) -> Double {
      self == .exp ? Foundation.exp(value) : value
    }
  }

  /// The transforms; the defaults are those of the repository.
  package struct Transforms: Sendable, Hashable {
    /// dt of `inv_dt`.
    package var step: Transform
    /// -Re A of `A_real`.
    package var real: Transform
    /// -Im A of `A_imag`.
    package var imaginary: Transform

    /// Creates the transforms.
    package init(step: Transform = .exp, real: Transform = .exp, imaginary: Transform = .none) {
      (self.step, self.real, self.imaginary) = (step, real, imaginary)
    }
  }

  private let reader: any CheckpointReader
  private let transforms: Transforms
  private let tensors: [String: TensorInfo]

  /// Opens a checkpoint.
  ///
  /// - Throws: The format's error.
  package init(path: String, transforms: Transforms) throws {
    reader = try Checkpoint.open(path)
    self.transforms = transforms
    tensors = Dictionary(reader.tensors.map { ($0.name, $0) }) { first, _ in first }
  }

  /// The tensors of a layer's kernel.
  private static let names: Set<String> = ["inv_dt", "A_real", "A_imag", "B", "C", "P", "l_kernel"]

  /// The prefixes of the layers, such as `layers.0.layer.kernel.`.
  package var layers: [String] {
    reader.tensors.map(\.name).filter { $0 == "inv_dt" || $0.hasSuffix(".inv_dt") }
      .map { String($0.dropLast(6)) }
  }

  /// Refuses a layer of which a tensor is missing, or has a name that version 4 does not know.
  private func checkNames(_ prefix: String) throws(TesseraError) {
    for name in ["inv_dt", "A_real", "C"] where tensors[prefix + name] == nil {
      let list = layers.isEmpty ? "none" : layers.joined(separator: ", ")
      throw .mismatch("holds no '\(prefix)\(name)'; layers with inv_dt here: \(list)")
    }
    for tensor in reader.tensors where tensor.name.hasPrefix(prefix) {
      let rest = String(tensor.name.dropFirst(prefix.count))
      guard !S4Checkpoint.names.contains(rest), !(prefix.isEmpty && rest.contains(".")) else {
        continue
      }
      throw .mismatch(
        "\(tensor.name) is no tensor of a kernel of version 4 (\(S4Checkpoint.names.sorted().joined(separator: ", "))): "
          + "leaving it out would be another system"
      )
    }
  }

  /// What stands before the names of the block around a kernel.
  private func block(_ prefix: String) -> String {
    let path = prefix.dropLast().split(separator: ".").dropLast()
    return path.isEmpty ? "" : path.joined(separator: ".") + "."
  }

  /// The tensors of a kernel's block that are no part of the kernel; D aside.
  private func others(_ prefix: String) -> [String] {
    let block = block(prefix)
    return reader.tensors.map(\.name).filter { name in
      name.hasPrefix(block) && name != block + "D"
        && (prefix.isEmpty ? name.contains(".") : !name.hasPrefix(prefix))
    }
  }

  /// Whether the checkpoint has a tensor of this name.
  func holds(_ name: String) -> Bool { tensors[name] != nil }

  private func array(_ name: String) throws -> (shape: [Int], values: [Double]) {
    guard let tensor = tensors[name] else {
      throw TesseraError.mismatch(
        "holds no '\(name)'; layers here: \(layers.joined(separator: ", "))"
      )
    }
    let array = try StateSpaceFile.array(tensor, of: reader, isComplex: false)
    return (array.storedShape, array.values)
  }

  /// One layer as a state space with a channel a head, and an output for each of C's rows: S4's channels, and
  /// behind them those of its second direction.
  ///
  /// - Parameter prefix: One of `layers`; a final dot may be missing.
  /// - Returns: A diagonal system, or one of low rank, with `dt`, `l_kernel` and D; C is [H, N], or [channels, H, N]
  ///   where there are several. What else the block holds is named in `unused`.
  /// - Throws: `TesseraError` where arrays are missing, unknown or do not fit.
  package func file(layer prefix: String) throws -> StateSpaceFile {
    let prefix = prefix.isEmpty || prefix.hasSuffix(".") ? prefix : prefix + "."
    try checkNames(prefix)
    let (stepShape, steps) = try array(prefix + "inv_dt")
    let c = try array(prefix + "C")
    guard c.shape.count == 4, c.shape[3] == 2, c.shape[0] > 0 else {
      throw TesseraError.mismatch(
        "\(prefix)C has the shape \(c.shape), and [channels, H, N, 2] was expected"
      )
    }
    let (channels, heads, modes) = (c.shape[0], c.shape[1], c.shape[2])
    guard stepShape == [heads, 1] || stepShape == [heads] else {
      throw TesseraError.mismatch(
        "\(prefix)inv_dt has the shape \(stepShape), and [\(heads), 1] was expected: untied steps have no "
          + "common rate"
      )
    }
    let real = try array(prefix + "A_real")
    let imaginary = try array(prefix + "A_imag")
    guard real.shape.count == 2, real.shape[1] == modes, real.shape[0] > 0,
      heads % real.shape[0] == 0, imaginary.shape == real.shape
    else {
      throw TesseraError.mismatch(
        "\(prefix)A_real has the shape \(real.shape) and A_imag \(imaginary.shape): [S, \(modes)] was expected, S "
          + "a divisor of \(heads) heads"
      )
    }
    let copies = real.shape[0]
    let values = zip(real.values, imaginary.values).map {
      ComplexNumber(-transforms.real($0), -transforms.imaginary($1))
    }
    var file = StateSpaceFile(arrays: [:], metadata: [:])
    file.arrays["Lambda"] = tiled(values, heads: heads, copies: copies, modes: modes)
    let b = try array(prefix + "B")
    guard b.shape == [1, copies, modes, 2] else {
      throw TesseraError.mismatch(
        "\(prefix)B has the shape \(b.shape), and [1, \(copies), \(modes), 2] was expected, as A_real has "
          + "\(copies) systems"
      )
    }
    file.arrays["B"] = tiled(complex(b.values), heads: heads, copies: copies, modes: modes)
    file.arrays["C"] = StateSpaceArray(
      values: c.values,
      shape: channels == 1 ? [heads, modes] : [channels, heads, modes],
      isComplex: true
    )
    file.arrays["dt"] = StateSpaceArray(steps.map { transforms.step($0) }, shape: [heads])
    try addLowRank(to: &file, prefix, heads: heads, copies: copies, modes: modes)
    try addSkip(to: &file, prefix, channels: channels, heads: heads)
    file.unused = others(prefix)
    return file
  }

  /// D of the block around a kernel: one row per channel, of which a second direction has none.
  private func addSkip(
    to file: inout StateSpaceFile,
    _ prefix: String,
    channels: Int,
    heads: Int
  ) throws {
    let name = block(prefix) + "D"
    guard tensors[name] != nil else { return }
    let d = try array(name)
    let isTwoWay = d.shape == [channels / 2, heads] && channels % 2 == 0
    guard d.shape == [heads] || d.shape == [channels, heads] || isTwoWay else {
      throw TesseraError.mismatch(
        "\(name) has the shape \(d.shape), and [\(channels), \(heads)] was expected, or half as many rows in a "
          + "layer with two directions"
      )
    }
    file.arrays["D"] = StateSpaceArray(d.values, shape: d.shape[0] == 1 ? [heads] : d.shape)
    guard isTwoWay else { return }
    file.metadata[StateSpaceFile.Key.directions] =
      "2: the first \(channels / 2) outputs of C run forward, the others backward"
  }

  private func addLowRank(
    to file: inout StateSpaceFile,
    _ prefix: String,
    heads: Int,
    copies: Int,
    modes: Int
  ) throws {
    file.metadata[StateSpaceFile.Key.halves] = "one of each conjugate pair; y = 2 Re(C x)"
    guard tensors[prefix + "P"] != nil else {
      file.metadata[StateSpaceFile.Key.system] = StateSpaceFile.Structure.diagonal.rawValue
      return
    }
    let p = try array(prefix + "P")
    guard p.shape.count == 4, p.shape[1...] == [copies, modes, 2] else {
      throw TesseraError.mismatch(
        "\(prefix)P has the shape \(p.shape), and [rank, \(copies), \(modes), 2] was expected"
      )
    }
    let rank = p.shape[0]
    let values = complex(p.values)
    let rows = (0..<rank).flatMap { rank in
      (0..<heads).flatMap { head in
        let start = (rank * copies + head % copies) * modes
        return values[start..<start + modes]
      }
    }
    file.arrays["P"] = StateSpaceArray(rows, shape: [rank, heads, modes])
    file.arrays["l_kernel"] = StateSpaceArray([try length(prefix)], shape: [])
    file.metadata[StateSpaceFile.Key.system] = StateSpaceFile.Structure.dplr.rawValue
  }

  /// The length for which C is truncated, 0 where it is not.
  private func length(_ prefix: String) throws -> Double {
    guard tensors[prefix + "l_kernel"] != nil else { return 0 }
    let stored = try array(prefix + "l_kernel")
    guard stored.values.count == 1, stored.shape.count <= 1 else {
      throw TesseraError.mismatch(
        "\(prefix)l_kernel has the shape \(stored.shape), and one length was expected"
      )
    }
    return stored.values[0]
  }

  private func complex(_ values: [Double]) -> [ComplexNumber] {
    stride(from: 0, to: values.count, by: 2).map { ComplexNumber(values[$0], values[$0 + 1]) }
  }

  /// Rows are tiled, not interleaved: head h has row h mod copies.
  private func tiled(
    _ values: [ComplexNumber],
    heads: Int,
    copies: Int,
    modes: Int
  ) -> StateSpaceArray {
    let rows = (0..<heads).flatMap { head in
      values[(head % copies) * modes..<(head % copies + 1) * modes]
    }
    return StateSpaceArray(rows, shape: [heads, modes])
  }

  /// Every tensor of the checkpoint, with the steps of all layers multiplied, C restored where it was
  /// truncated, and `l_kernel` 0.
  ///
  /// - Parameter factor: The new time between samples over the old one.
  /// - Returns: Names and tensors in the file's order, and the file's attributes.
  /// - Throws: `TesseraError` where there is no layer or I - Ā^L is singular.
  package func resampled(
    by factor: Double
  ) throws -> (tensors: [(name: String, tensor: Tensor)], attributes: [String: String]) {
    guard factor > 0, factor.isFinite else {
      throw TesseraError.limit("the factor \(factor) is not a finite number above 0")
    }
    guard !layers.isEmpty else {
      throw TesseraError.mismatch(
        "0 layers with inv_dt, A_real and C: no checkpoint of S4 version 4"
      )
    }
    // A kernel without its step, or with one of another name, would keep the old rate.
    let known = Set(layers)
    for name in reader.tensors.map(\.name) {
      let path = name.split(separator: ".")
      guard let last = path.last, ["A_real", "log_dt"].contains(last) else { continue }
      let prefix = path.dropLast().map { $0 + "." }.joined()
      guard !known.contains(prefix) else { continue }
      throw TesseraError.mismatch(
        "\(name) has no \(prefix)inv_dt beside it: no layer of version 4"
      )
    }
    var changed: [String: Tensor] = [:]
    for prefix in layers {
      try checkNames(prefix)
      let steps = try array(prefix + "inv_dt")
      let moved = steps.values.map { transforms.step == .exp ? $0 + log(factor) : $0 * factor }
      changed[prefix + "inv_dt"] = try tensor(prefix + "inv_dt", moved)
      guard tensors[prefix + "P"] != nil, try length(prefix) != 0 else { continue }
      let restored = try file(layer: prefix).resampled(by: 1, structure: .dplr)
      changed[prefix + "C"] = try tensor(prefix + "C", restored.arrays["C"]?.values ?? [])
      changed[prefix + "l_kernel"] = try tensor(prefix + "l_kernel", [0])
    }
    let all = try reader.tensors.map { info in
      (name: info.name, tensor: try changed[info.name] ?? StateSpaceFile.stored(info, of: reader))
    }
    return (all, reader.attributes)
  }

  /// Values in the type and shape of a stored tensor.
  private func tensor(_ name: String, _ values: [Double]) throws -> Tensor {
    guard let info = tensors[name] else { preconditionFailure("'\(name)' was read before") }
    switch info.elementType {
    case .float32:
      let narrow = values.map { Float($0) }
      guard narrow.allSatisfy(\.isFinite) else {
        throw TesseraError.limit("\(name): a value is too large for float32")
      }
      return Tensor(shape: info.shape, elements: narrow)
    case .float64: return Tensor(shape: info.shape, elements: values)
    case .int64:
      let whole = values.compactMap { Int64(exactly: $0) }
      if whole.count == values.count { return Tensor(shape: info.shape, elements: whole) }
    default: break
    }
    throw TesseraError.mismatch(
      "\(name) is \(info.elementType.rawValue); convert it to F32 first, so that no digit is lost"
    )
  }
}
