import Foundation
import TesseraCheckpoints
package import TesseraCore

/// An array of a state-space file, in double precision.
package struct StateSpaceArray: Hashable, Sendable {
  /// The extents without the axis of real and imaginary parts.
  package let shape: [Int]
  /// Whether values are pairs of real and imaginary part.
  package let isComplex: Bool
  /// The values, row-major; real and imaginary parts alternate.
  package let values: [Double]

  /// Creates a real array.
  package init(_ values: [Double], shape: [Int]) {
    self.init(values: values, shape: shape, isComplex: false)
  }

  /// Creates a complex array.
  package init(_ values: [ComplexNumber], shape: [Int]) {
    self.init(
      values: values.flatMap { [$0.real, $0.imaginary] },
      shape: shape,
      isComplex: true
    )
  }

  /// Creates an array from its doubles.
  package init(values: [Double], shape: [Int], isComplex: Bool) {
    precondition(values.count == shape.reduce(isComplex ? 2 : 1, *), "the values fill the shape")
    (self.values, self.shape, self.isComplex) = (values, shape, isComplex)
  }

  /// Takes the elements of a tensor; nil where they are no real numbers.
  package init?(_ tensor: Tensor) {
    let isComplex = tensor.elementType == .complex64 || tensor.elementType == .complex128
    guard !isComplex, let values = tensor.doubles() else { return nil }
    self.init(values, shape: tensor.shape.dimensions)
  }

  /// The extents as they stand in a file: complex values are a last axis of 2.
  package var storedShape: [Int] { isComplex ? shape + [2] : shape }

  /// The values as complex numbers.
  package var complexValues: [ComplexNumber] {
    guard isComplex else { return values.map { ComplexNumber($0) } }
    return stride(from: 0, to: values.count, by: 2).map {
      ComplexNumber(values[$0], values[$0 + 1])
    }
  }
}

/// A file of a state space: arrays under fixed names, and the conventions that give them a meaning.
package struct StateSpaceFile: Hashable, Sendable {
  /// `A`, `B`, `C`, `D`, `Lambda`, `P`, `V`, `A_bar`, `B_bar`, `dt`, as far as they apply.
  package var arrays: [String: StateSpaceArray]
  /// The strings of the metadata, `tessera.ssm.…`.
  package var metadata: [String: String]
  /// The tensors of the source that belong to it and are no part of this.
  package var unused: [String] = []

  /// Creates a file in memory.
  package init(arrays: [String: StateSpaceArray], metadata: [String: String]) {
    (self.arrays, self.metadata) = (arrays, metadata)
  }

  /// The most bytes that are read: state spaces are small.
  private static let byteLimit = 1 << 30

  /// The arrays that are complex in every structure: a normal matrix and a low rank, one of each pair.
  private static let spectralNames: Set = ["Lambda", "P", "V"]

  /// The most elements of a file's arrays: work grows with their number and more, so that a small file,
  /// packed or never written, may not hold far more than it would as float32.
  private static func mostElements(of files: [String]) -> Int {
    let length = files.reduce(0) { sum, file in
      let attributes = try? FileManager.default.attributesOfItem(atPath: file)
      return sum + (attributes?[.size] as? Int ?? 0)
    }
    return min((3 << 17) + 4 * max(length - (1 << 20), 0), byteLimit / 8)
  }

  /// The arrays that are complex wherever one of each conjugate pair is kept.
  private static let halvedNames: Set = ["Lambda", "P", "B", "C", "A_bar", "B_bar"]

  /// What the arrays mean.
  package enum Structure: String, Sendable, CaseIterable {
    /// A [N, N] and B [N], real or complex.
    case dense
    /// Lambda [modes], one of each conjugate pair; outputs are 2 Re.
    case diagonal
    /// The same minus P P*, over both halves.
    case dplr
  }

  /// The metadata's keys.
  enum Key {
    static let system = "tessera.ssm.system"
    static let equation = "tessera.ssm.equation"
    static let complex = "tessera.ssm.complex"
    static let measure = "tessera.ssm.measure"
    static let form = "tessera.ssm.form"
    static let order = "tessera.ssm.order"
    static let window = "tessera.ssm.window"
    static let tilt = "tessera.ssm.tilt"
    static let halves = "tessera.ssm.halves"
    static let lowRank = "tessera.ssm.nplr"
    static let method = "tessera.ssm.method"
    static let step = "tessera.ssm.dt"
    static let legsStep = "tessera.ssm.legs.step"
    static let convention = "tessera.ssm.convention"
    static let directions = "tessera.ssm.directions"
    static let unused = "tessera.ssm.unused"
  }

  /// The structure that the metadata names.
  ///
  /// - Parameter named: What the user says of a file that names none.
  /// - Returns: The structure.
  /// - Throws: `TesseraError` where neither says.
  package func structure(named: Structure? = nil) throws(TesseraError) -> Structure {
    if let text = metadata[Key.system] {
      guard let structure = Structure(rawValue: text) else {
        throw .mismatch("the metadata's \(Key.system) is '\(text)', none of dense, diagonal, dplr")
      }
      guard named == nil || named == structure else {
        throw .mismatch("the metadata's \(Key.system) is '\(text)', not '\(named?.rawValue ?? "")'")
      }
      return structure
    }
    guard let named else {
      throw .mismatch(
        "0 of 1 conventions named: the metadata have no \(Key.system); say what the file holds with "
          + "--system dense (x' = A x + B u), diagonal or dplr (one of each conjugate pair, 2 Re)"
      )
    }
    return named
  }

  /// The measure that the metadata name.
  ///
  /// - Throws: `TesseraError` where they name none, or numbers that are none.
  package func hippo() throws(TesseraError) -> HippoSystem? {
    guard let name = metadata[Key.measure] else { return nil }
    guard let measure = HippoMeasure(rawValue: name),
      let form = HippoForm(rawValue: metadata[Key.form] ?? ""),
      let order = metadata[Key.order].flatMap({ Int($0) }),
      let window = Double(metadata[Key.window] ?? "1"),
      let tilt = Double(metadata[Key.tilt] ?? "0")
    else {
      throw .mismatch(
        "the metadata name the measure '\(name)' and no known form, order and window with it"
      )
    }
    return try HippoSystem(measure, order: order, form: form, window: window, tilt: tilt)
  }
}

extension StateSpaceFile {
  /// Reads a file.
  ///
  /// - Parameters:
  ///   - path: A checkpoint of any supported format.
  ///   - structure: What the user says of a file without metadata.
  /// - Throws: The format's error, or `TesseraError` where arrays are too large or not numbers.
  package init(path: String, structure: Structure? = nil) throws {
    let reader = try Checkpoint.open(path)
    metadata = reader.attributes
    let decays = ["A_log", "A_b_log"]
    let selective = reader.tensors.first { tensor in decays.contains { tensor.name.hasSuffix($0) } }
    if let selective {
      throw TesseraError.mismatch(
        "\(selective.name): dt, B and C of Mamba come from the input, so that no A_bar and B_bar can be exported; "
          + "'ssm convert --to mamba' writes A, and with --dt those of one fixed step"
      )
    }
    try StateSpaceFile.checkNames(reader.tensors.map(\.name))
    let most = StateSpaceFile.mostElements(of: reader.files)
    var total = 0
    for tensor in reader.tensors {
      let (sum, overflow) = total.addingReportingOverflow(
        StateSpaceFile.extentCount(tensor)
      )
      guard !overflow, sum <= most else {
        throw TesseraError.limit(
          "\(tensor.name): the arrays have more than \(most) elements, the most of a state space in a "
            + "file of this size; save it in float32 or float64, and not compressed"
        )
      }
      total = sum
    }
    // The metadata may be those of a file to which somebody has added C.
    let named = structure ?? metadata[Key.system].flatMap { Structure(rawValue: $0) }
    let isHalved = named == .diagonal || named == .dplr
    let stated = metadata[Key.complex]?.split(separator: ",").map(String.init) ?? []
    arrays = [:]
    for tensor in reader.tensors {
      let isOutput = tensor.name == "C" && stated.contains("A")
      let isComplex =
        stated.contains(tensor.name) || isOutput
        || StateSpaceFile.spectralNames.contains(tensor.name)
        || (isHalved && StateSpaceFile.halvedNames.contains(tensor.name))
      arrays[tensor.name] = try StateSpaceFile.array(tensor, of: reader, isComplex: isComplex)
    }
  }

  /// The elements of a tensor with every empty axis as one of 1: products of some of its extents are
  /// no larger.
  private static func extentCount(_ tensor: TensorInfo) -> Int {
    Shape(tensor.shape.dimensions.map { max($0, 1) }).elementCount ?? .max
  }

  /// A whole tensor as it is stored.
  static func stored(_ tensor: TensorInfo, of reader: any CheckpointReader) throws -> Tensor {
    let count = tensor.shape.elementCount ?? 0
    let size = tensor.elementType.byteCount(elements: count) ?? 0
    var bytes = [UInt8](repeating: 0, count: size)
    try unsafe bytes.withUnsafeMutableBytes { buffer in
      try unsafe reader.read(0..<count, of: tensor, into: buffer)
    }
    return Tensor(elementType: tensor.elementType, shape: tensor.shape, bytes: bytes)
  }

  /// A whole tensor in double precision.
  static func array(
    _ tensor: TensorInfo,
    of reader: any CheckpointReader,
    isComplex: Bool
  ) throws -> StateSpaceArray {
    guard extentCount(tensor) <= StateSpaceFile.byteLimit / 8 else {
      throw TesseraError.limit(
        "\(tensor.name): more than \(StateSpaceFile.byteLimit) bytes, and state spaces are small"
      )
    }
    let stored = try stored(tensor, of: reader)
    var shape = tensor.shape.dimensions
    guard let values = stored.doubles() else {
      throw TesseraError.mismatch(
        "\(tensor.name) has the type \(tensor.elementType.rawValue); state spaces are real or complex "
          + "floats"
      )
    }
    guard let bad = values.firstIndex(where: { !$0.isFinite }) else {
      if tensor.elementType == .complex64 || tensor.elementType == .complex128 {
        return StateSpaceArray(values: values, shape: shape, isComplex: true)
      }
      guard isComplex else { return StateSpaceArray(values, shape: shape) }
      guard shape.popLast() == 2 else {
        throw TesseraError.mismatch(
          "\(tensor.name) of shape \(tensor.shape) is complex, and its last axis is not 2"
        )
      }
      return StateSpaceArray(values: values, shape: shape, isComplex: true)
    }
    throw TesseraError.limit("\(tensor.name): element \(bad) is \(values[bad])")
  }
}

extension Tensor {
  /// The elements as doubles, complex ones as pairs; nil for types that are no numbers.
  func doubles() -> [Double]? {
    switch elementType {
    case .float64: elements(as: Double.self)
    case .complex128:
      Tensor(elementType: .float64, shape: [bytes.count / 8], bytes: bytes).elements()
    case .complex64:
      Tensor(elementType: .float32, shape: [bytes.count / 4], bytes: bytes).doubles()
    case .int64, .int32, .uint32, .uint64: integers()?.map(Double.init)
    default: (try? floats())?.map(Double.init)
    }
  }
}
