import Foundation
import TesseraCore
import TesseraDatasets
import TesseraImages
import TesseraTokenizers
import Testing

@Suite struct TokenSampleTests {
  /// Widths as numpy names them: the narrowest that holds the greatest code of the vocabulary.
  @Test(arguments: [
    (256, 0, ElementType.uint8), (256, 1, .uint16), (64_000, 1536, .uint16),
    (64_000, 1537, .uint32), (1, 0xFFFF_FFFF, .uint32), (2, 0xFFFF_FFFF, .uint64),
  ])
  func `codes take the narrowest width that holds vocabulary and offset`(
    vocabularySize: Int,
    offset: Int,
    type: ElementType
  ) {
    let last = UInt32(vocabularySize - 1)
    let tensor = TokenSample.codeTensor(
      CodeGrid(height: 1, width: 2, codes: [0, last]),
      vocabularySize: vocabularySize,
      offset: offset
    )
    #expect(tensor.elementType == type)
    #expect(tensor.shape == [1, 2])
    let width = type.bitWidth / 8
    let values = stride(from: 0, to: tensor.bytes.count, by: width).map { start in
      tensor.bytes[start..<start + width].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }
    #expect(values == [UInt64(offset), UInt64(offset) + UInt64(last)])
  }
}

@Suite struct WebDatasetShardTests {
  private let folder = NSTemporaryDirectory() + "/tessera-\(UUID().uuidString)"

  init() throws {
    try FileManager.default.createDirectory(
      atPath: folder + "/shards",
      withIntermediateDirectories: true
    )
  }

  private func sample(_ key: String) throws -> TokenSample {
    TokenSample(
      description: try description(key, of: key + ".jpg", side: 8),
      codes: Tensor(elementType: .uint8, shape: [1, 1], bytes: [7])
    )
  }

  @Test func `a shard that is not committed leaves nothing behind`() throws {
    var shard = try WebDatasetShard(name: "shards/00000.tar", in: folder)
    try shard.append(sample("a"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/shards").count == 1)
    abandon(shard)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/shards").isEmpty)
  }

  private func abandon(_ shard: consuming WebDatasetShard) {}

  @Test func `a shard without samples is an empty archive`() throws {
    let shard = try WebDatasetShard(name: "shards/00000.tar", in: folder).commit().shard
    #expect(shard.samples == 0)
    #expect(try Data(contentsOf: URL(filePath: folder + "/shards/00000.tar")) == Data(count: 1024))
  }

  @Test func `the longest key fits a tar name, and the sample is read back`() throws {
    let key = String(repeating: "k", count: WebDatasetShard.longestKey)
    var shard = try WebDatasetShard(name: "shards/00000.tar", in: folder)
    var longest = try sample(key)
    longest.soft = SoftCodes()
    try shard.append(longest)
    try shard.append(sample("folder/b"))
    let description = try shard.commit().shard
    let manifest = try DatasetManifest(
      settings: .plain(),
      plan: "0",
      rejected: 0,
      shards: [description]
    )
    try JSONEncoder().encode(manifest).write(to: URL(filePath: folder + "/dataset.json"))
    let dataset = try TokenDataset(path: folder)
    #expect(dataset.manifest == manifest)
    let samples = try dataset.samples(of: description)
    #expect(samples.map(\.key) == [key, "folder/b"])
    #expect(try samples[0].tensor("codes.npy").bytes == [7])
    #expect(try samples[0].tensor("soft_indices.npy").shape == [0])
    #expect(try samples[1].description() == sample("folder/b").description)
    #expect(throws: TesseraError.self) { try samples[0].bytes(of: "positions.npy") }
  }
}

@Suite struct ContactSheetTests {
  @Test func `pairs stand in rows of four, white between them`() {
    let black = RGBImage(width: 2, height: 1, pixels: [UInt8](repeating: 0, count: 6))
    var sheet = ContactSheet(capacity: 5)
    #expect(sheet.isEmpty)
    for _ in 0..<9 { sheet.add(original: black, reconstruction: black) }
    let image = sheet.image
    // Four pairs of cells of 2 + 4 columns and a gap; two rows of 1 + 4 and a gap.
    #expect(image.width == 4 * 2 * 6 + 4)
    #expect(image.height == 2 * 5 + 4)
    #expect(image.pixels.count { $0 == 0 } == 5 * 2 * 6)
    let first = (4 * image.width + 4) * 3
    #expect(
      Array(image.pixels[first - 3..<first + 9]) == [
        255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255,
      ]
    )
  }
}
