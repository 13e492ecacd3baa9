import CHDF5
import Foundation
import TesseraCheckpoints
package import TesseraCore

/// What the rows of a dataset in HDF5 are.
package enum HDF5RowKind: Sendable {
  /// Arrays of one shape.
  case fixed(ElementType, [Int])
  /// Lists of any length.
  case variable(ElementType)
  /// UTF-8.
  case text

  fileprivate var rows: chdf5_rows {
    switch self {
    case .fixed: CHDF5_FIXED_ROWS
    case .variable: CHDF5_VARIABLE_ROWS
    case .text: CHDF5_TEXT_ROWS
    }
  }

  /// The library's type of the elements; only inside `HDF5.perform`.
  fileprivate var element: hid_t {
    switch self {
    case .fixed(.float32, _), .variable(.float32): chdf5_float(4)
    case .fixed(.float64, _), .variable(.float64): chdf5_float(8)
    case .fixed(let type, _), .variable(let type):
      chdf5_integer(type.bitWidth / 8, type != .uint8 && type != .bool)
    case .text: chdf5_integer(1, false)
    }
  }
}

/// An HDF5 file being written, one dataset per column.
package final class HDF5RowFile {
  private let path: String
  /// Negative once it is closed.
  private var file: hid_t
  private var datasets: [(id: hid_t, kind: HDF5RowKind)] = []

  /// Creates the file.
  package init(path: String) throws {
    self.path = path
    file = HDF5.perform(on: path) { unsafe chdf5_create_file(path) }
    guard file >= 0 else { throw failure() }
  }

  /// Adds a column; returns its index.
  package func add(_ name: String, _ kind: HDF5RowKind) throws -> Int {
    var extents: [hsize_t] = []
    if case .fixed(_, let shape) = kind { extents = shape.map { hsize_t($0) } }
    let file = file
    let id = HDF5.perform(on: path) {
      unsafe chdf5_create_rows(
        file,
        name,
        kind.rows,
        kind.element,
        Int32(extents.count),
        extents,
        hsize_t(HDF5RowLayout.batch)
      )
    }
    guard id >= 0 else { throw failure() }
    datasets.append((id, kind))
    return datasets.count - 1
  }

  /// Appends rows to a column.
  ///
  /// - Parameters:
  ///   - data: The rows one after the other; a text ends in a zero byte.
  ///   - sizes: The bytes of each row.
  ///   - start: The rows that the column has.
  ///   - index: The column.
  /// - Throws: `TesseraError` where the library cannot write them.
  package func append(_ data: [UInt8], sizes: [Int], from start: Int, to index: Int) throws {
    let (id, kind) = datasets[index]
    let isWritten = HDF5.perform(on: path) {
      unsafe chdf5_append_rows(
        id,
        kind.rows,
        kind.element,
        hsize_t(start),
        hsize_t(sizes.count),
        data,
        sizes.map { $0 }
      )
    }
    guard isWritten else { throw failure() }
  }

  /// Closes the file.
  ///
  /// - Throws: `TesseraError` where the last bytes could not be written.
  package func close() throws {
    let (file, ids) = (file, datasets.map(\.id))
    (datasets, self.file) = ([], -1)
    let isClosed = HDF5.perform(on: path) {
      var isClosed = true
      for id in ids where H5Dclose(id) < 0 { isClosed = false }
      return chdf5_close(file) && isClosed
    }
    guard isClosed else { throw failure() }
  }

  deinit {
    let (file, ids) = (file, datasets.map(\.id))
    guard file >= 0 else { return }
    HDF5.perform(on: path) {
      for id in ids { _ = H5Dclose(id) }
      _ = chdf5_close(file)
    }
  }

  /// What ended the last call; writing fails because of the machine, whatever the library says.
  private func failure() -> TesseraError {
    let failure = HDF5.perform(on: path) { HDF5.failure(of: "write", on: path) }
    return failure.system
      ?? TesseraError.system("write (\(failure.words))", path, EIO)
  }
}

/// An HDF5 file of columns being read.
final class HDF5RowReader {
  private let region: FileRegion
  private let file: hid_t
  /// The bytes that each column may still hold.
  private var left: [String: UInt64] = [:]

  init(path: String) throws {
    region = try FileRegion(path: path)
    let region = region
    file = HDF5.perform(on: path) { region.openedAsHDF5() }
    guard file >= 0 else { throw failure() }
  }

  deinit {
    let file = file
    HDF5.perform(on: region.name) { _ = H5Fclose(file) }
  }

  /// Reads rows of a column.
  func rows(_ name: String, _ kind: HDF5RowKind, from start: Int, count: Int) throws -> [[UInt8]] {
    let file = file
    var left = left[name] ?? most(of: kind)
    let (outcome, rows) = HDF5.perform(on: region.name) { () -> (chdf5_outcome, [[UInt8]]) in
      let id = unsafe chdf5_open_dataset(file, name, 1 << 22, 521)
      guard id >= 0 else { return (CHDF5_NOT_READ, []) }
      defer { _ = H5Dclose(id) }
      var rows: [[UInt8]] = []
      let outcome = unsafe withUnsafeMutablePointer(to: &rows) { rows in
        unsafe chdf5_read_rows(
          id,
          kind.rows,
          kind.element,
          hsize_t(start),
          hsize_t(count),
          &left,
          rows
        ) { context, bytes, count, _ in
          guard let rows = unsafe context?.assumingMemoryBound(to: [[UInt8]].self) else {
            return false
          }
          let raw = unsafe UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count)
          unsafe rows.pointee.append(Array(raw))
          return true
        }
      }
      return (outcome, rows)
    }
    self.left[name] = left
    switch outcome {
    case CHDF5_READ where rows.count == count: return rows
    case CHDF5_TOO_LARGE:
      throw refusal(of: name, "its rows claim more than a file of \(region.length) bytes holds")
    case CHDF5_NOT_OURS:
      throw refusal(of: name, "is not stored as 'export' stores it; export the dataset anew")
    default: throw failure(of: name)
    }
  }

  /// The most bytes that a column can hold: texts and lists lie in the file as they are, each once;
  /// of arrays of one shape the library may fill what was never written.
  private func most(of kind: HDF5RowKind) -> UInt64 {
    let length = UInt64(region.length)
    return if case .fixed = kind { 1 << 26 + 64 * length } else { length }
  }

  private func refusal(of name: String, _ cause: String) -> TesseraError {
    TesseraError.malformed(cause, file: region.name, place: name)
  }

  private func failure(of name: String = "") -> TesseraError {
    HDF5.perform(on: region.name) {
      TesseraError.afterFailure(to: "read the samples", file: region.name, place: name)
    }
  }
}
