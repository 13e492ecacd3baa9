import TesseraCore

/// Where the data of one tensor come from.
package protocol TensorPlace: Sendable {
  /// Reads a range of the tensor's elements, which lies inside it, is not empty and fills the buffer.
  func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws
}

/// A tensor as a reader gives it.
package struct ReaderTensor: TensorPlace {
  private let checkpoint: any CheckpointReader
  private let tensor: TensorInfo

  /// One of the tensors of a checkpoint.
  package init(_ tensor: TensorInfo, of checkpoint: any CheckpointReader) {
    (self.checkpoint, self.tensor) = (checkpoint, tensor)
  }

  /// Reads from the checkpoint.
  package func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
    try unsafe checkpoint.read(elements, of: tensor, into: buffer)
  }
}

/// A checkpoint that knows the place of each tensor.
package protocol PlacedCheckpoint: CheckpointReader {
  /// Where the data of a tensor come from; nil where the checkpoint has none of this name.
  func place(of tensor: TensorInfo) -> (any TensorPlace)?
}

extension PlacedCheckpoint {
  /// Reads a range of elements from the tensor's place; see `CheckpointReader`.
  public func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let place = place(of: tensor) else {
      preconditionFailure("'\(tensor.name)' is no tensor of this checkpoint")
    }
    precondition(
      elements.lowerBound >= 0 && elements.upperBound <= tensor.shape.elementCount ?? 0
        && tensor.elementType.byteCount(elements: elements.count) == buffer.count,
      "a range lies inside the tensor and fills its buffer"
    )
    guard !elements.isEmpty else { return }
    try unsafe place.read(elements, into: buffer)
  }
}

/// What opening a checkpoint finds: tensors with the places of their data, and what is said beside them.
struct TensorTable<Place: TensorPlace>: Sendable {
  /// The files that were opened; their first names the checkpoint in errors.
  let files: [String]
  /// Every tensor that can be read, in the order in which it was added.
  private(set) var tensors: [TensorInfo] = []
  /// What the files say beside their tensors.
  var attributes: [String: String] = [:]
  /// Tensors that are there but cannot be read safely and exactly.
  var refusals: [TensorRefusal] = []
  /// What was noticed beside the refusals, a sentence each.
  var remarks: [String] = []

  private var places: [String: Place] = [:]

  /// An empty table of some files.
  init(files: [String]) { self.files = files }

  /// Where a tensor's data lie; nil where there is no tensor of this name.
  func place(of name: String) -> Place? { places[name] }

  /// Adds a tensor, whose name must be new.
  mutating func add(_ tensor: TensorInfo, at place: Place) {
    tensors.append(tensor)
    places[tensor.name] = place
  }
}

/// A checkpoint whose tensors stand in a table, as in every file format.
protocol TableCheckpoint: PlacedCheckpoint {
  associatedtype Place: TensorPlace
  /// What opening found.
  var table: TensorTable<Place> { get }
}

extension TableCheckpoint {
  /// Every tensor, in the file's own order.
  public var tensors: [TensorInfo] { table.tensors }
  /// What the files say beside their tensors.
  public var attributes: [String: String] { table.attributes }
  /// The refusals, and what else was noticed.
  public var notes: [String] { table.refusals.map(\.description) + table.remarks }
  /// Tensors that are there but cannot be read safely and exactly.
  public var refusals: [TensorRefusal] { table.refusals }
  /// The files that hold the data.
  public var files: [String] { table.files }

  /// The tensor's place in the table.
  package func place(of tensor: TensorInfo) -> (any TensorPlace)? { table.place(of: tensor.name) }
}

extension TesseraError {
  /// Refuses bytes other than 0 and 1 among the elements of a tensor of truth values.
  static func check(
    truthValues buffer: UnsafeMutableRawBufferPointer,
    of name: String,
    in file: String
  ) throws {
    guard unsafe buffer.contains(where: { $0 > 1 }) else { return }
    throw malformed("a truth value that is neither 0 nor 1", file: file, place: name)
  }
}
