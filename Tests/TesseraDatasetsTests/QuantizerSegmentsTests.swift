import TesseraCore
import TesseraDatasets
import TesseraSequences
import TesseraTokenizers
import Testing

/// What position schemes see of an image that a quantizer has made codes of.
@Suite struct QuantizerSegmentsTests {
  @Test func `an image is one segment, and one for each scale of a multi-scale quantizer`() throws {
    let codebook = try Codebook(count: 2, dimensions: 2, values: [0, 0, 1, 1])
    let vector = try VectorQuantizer(rule: .l2, codebook: codebook)
    let scales = try MultiScaleQuantizer(scales: [1, 2, 4], quantizer: vector, refinement: nil)
    #expect(Quantizer.vector(vector).segments(height: 4, width: 6) == [.image(height: 4, width: 6)])
    #expect(
      Quantizer.multiScale(scales).segments(height: 4, width: 4)
        == [1, 2, 4].map { .image(height: $0, width: $0) }
    )
  }
}
