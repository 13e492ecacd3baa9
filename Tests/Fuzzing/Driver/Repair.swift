import CZlib
import FuzzTargets
import TesseraCore
import TesseraDatasets

/// Makes the checksums of a changed file right again: behind a wrong one nothing is read.
enum Repair {
  /// Repairs the files of an input by their names, or the input by its target's.
  static func checksums(of input: inout [UInt8], target: FuzzTarget) {
    switch target.form {
    case .file(let name): repair(&input, input.indices, name)
    case .folder:
      for entry in FuzzFiles.entries(of: input) { repair(&input, entry.bytes, entry.name) }
    }
  }

  private static func repair(_ input: inout [UInt8], _ range: Range<Int>, _ name: String) {
    if name.hasSuffix(".png") { repairPNG(&input, range) }
    if name.hasSuffix(".tar") || name.hasSuffix(".pt") { repairTar(&input, range) }
    if name.contains(".tfrecord") { repairTFRecord(&input, range) }
    if name.contains(".array_record") { repairArrayRecord(&input, range) }
  }

  /// The CRC-32 of each chunk.
  private static func repairPNG(_ input: inout [UInt8], _ range: Range<Int>) {
    var position = range.lowerBound + 8
    while position + 12 <= range.upperBound {
      let size = input[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
      let end = position + 8 + size
      guard end + 4 <= range.upperBound else { return }
      let chunk = Array(input[position + 4..<end])
      put(UInt32(crc32(0, chunk, UInt32(chunk.count))).bigEndian, into: &input, at: end)
      position = end + 4
    }
  }

  /// The sum of each header.
  private static func repairTar(_ input: inout [UInt8], _ range: Range<Int>) {
    var position = range.lowerBound
    while position + 512 <= range.upperBound {
      let header = position..<position + 512
      position = header.upperBound
      if input[header].allSatisfy({ $0 == 0 }) { continue }
      let field = header.lowerBound + 148..<header.lowerBound + 156
      input.replaceSubrange(field, with: "        ".utf8)
      let sum = String(input[header].reduce(0) { $0 + Int($1) }, radix: 8)
      let digits = String(repeating: "0", count: max(0, 6 - sum.count)) + sum
      input.replaceSubrange(field, with: Array(digits.suffix(6).utf8) + [0, 0x20])
      let text = input[header.lowerBound + 124..<header.lowerBound + 135]
      guard let size = Int(String(decoding: text.prefix { $0 > 0x20 }, as: UTF8.self), radix: 8),
        (0...range.upperBound - position).contains(size)
      else { return }
      position += (size + 511) / 512 * 512
    }
  }

  /// The masked CRC-32C of each length and each record.
  private static func repairTFRecord(_ input: inout [UInt8], _ range: Range<Int>) {
    var position = range.lowerBound
    while position + 16 <= range.upperBound {
      let head = Array(input[position..<position + 8])
      put(RecordChecksum.masked(head), into: &input, at: position + 8)
      let size = integer(head)
      guard size <= range.upperBound - position - 16 else { return }
      let end = position + 12 + size
      put(RecordChecksum.masked(Array(input[position + 12..<end])), into: &input, at: end)
      position = end + 4
    }
  }

  /// The hashes of each chunk of a file below 64 KiB: one block, whose header stands first.
  private static func repairArrayRecord(_ input: inout [UInt8], _ range: Range<Int>) {
    var position = range.lowerBound + RiegeliLayout.blockHeader
    while position + RiegeliLayout.chunkHeader <= range.upperBound {
      let data = position + RiegeliLayout.chunkHeader
      let size = integer(Array(input[position + 8..<position + 16]))
      guard size <= range.upperBound - data else { return }
      put(RecordChecksum.riegeli(Array(input[data..<data + size])), into: &input, at: position + 16)
      put(RecordChecksum.riegeli(Array(input[position + 8..<data])), into: &input, at: position)
      position = data + size
    }
  }

  private static func integer(_ bytes: [UInt8]) -> Int {
    Int(clamping: bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }

  private static func put(
    _ number: some FixedWidthInteger,
    into input: inout [UInt8],
    at position: Int
  ) {
    withUnsafeBytes(of: number) { bytes in
      for (index, byte) in bytes.enumerated() { input[position + index] = byte }
    }
  }
}
