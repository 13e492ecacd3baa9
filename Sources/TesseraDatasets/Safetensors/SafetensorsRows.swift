import TesseraCheckpoints
import TesseraCore

/// The samples of a dataset in one safetensors file.
struct SafetensorsRows: DatasetRows {
  let table: DatasetTable
  private let folder: String
  private let layout: FlatLayout
  private let shard: SafetensorsShard
  private let names: [Int: String]

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    folder = dataset.path
    layout = try FlatLayout(of: table, in: folder)
    shard = try SafetensorsShard(path: dataset.file("data.safetensors"))
    let sides = layout.aligned + [layout.positions?.column].compactMap(\.self)
    names = record.storedNames(of: sides).merging([layout.token: "tokens"]) { _, name in name }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var lines = try SampleLines(folder: folder, layout: layout, table: table)
    let entries = try names.mapValues { name in
      guard let entry = shard.header.entries.first(where: { $0.tensor.name == name }) else {
        throw TesseraError.malformed("it has no tensor '\(name)'", file: shard.path)
      }
      return entry
    }
    let total = entries[layout.token]?.tensor.shape.elementCount ?? 0
    var offset = 0
    while let next = try lines.next() {
      var row = next.row
      let (shape, count) = (next.tokens, next.count)
      guard count <= total - offset else {
        throw TesseraError.malformed(
          "it holds fewer tokens than the samples have",
          file: shard.path
        )
      }
      for (index, entry) in entries {
        let axes = layout.positions?.column == index ? layout.positions?.axes : nil
        let stream = TensorStream(shard: shard, entry: entry, total: total, axes: axes ?? 1)
        let cellShape = index == layout.token ? shape : axes.map { [$0, count] } ?? [count]
        row.cells[index] = DatasetCell(
          shape: cellShape,
          bytes: try stream.bytes(from: offset, count: count, as: table.columns[index])
        )
      }
      offset += count
      try body(row)
    }
  }

  /// A tensor of one number per token and axis.
  private struct TensorStream {
    let shard: SafetensorsShard
    let entry: SafetensorsHeader.Entry
    let total: Int
    let axes: Int

    func bytes(from start: Int, count: Int, as column: DatasetColumn) throws -> [UInt8] {
      let type = entry.tensor.elementType
      guard let wanted = column.type.elementType,
        let elements = Shape([axes, total]).elementCount,
        entry.tensor.shape.elementCount == elements, type.bitWidth % 8 == 0
      else {
        throw TesseraError.malformed("'\(entry.tensor.name)' has another size", file: shard.path)
      }
      let width = type.bitWidth / 8
      var bytes: [UInt8] = []
      for axis in 0..<axes {
        let first = shard.dataStart + entry.bytes.lowerBound + (axis * total + start) * width
        bytes += try shard.region.bytes(first..<first + count * width)
      }
      do {
        return try ElementConversion.convert(bytes, from: type, to: wanted)
      } catch {
        throw TesseraError.malformed(
          "\(error.value) does not fit \(wanted.rawValue)",
          file: "\(shard.path): \(entry.tensor.name)"
        )
      }
    }
  }
}
